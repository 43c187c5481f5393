"""What is over leaves nothing behind: no key, no queue entry, no connection, no trace of a dead worker.

The long form of this is ``python -m tests.soak``.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway.state import keys
from tests.client import User, prompt
from tests.cluster import Cluster, Gemini
from tests.e2e.conftest import Clusters
from tests.gemini_server import expected_answer
from tests.processes import found

USERS, TURNS = 40, 5
POOLED = 20
"""Connections to Redis and Gemini that a process has opened for the load and keeps for the next."""

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]


async def test_hundreds_of_turns_leave_redis_and_the_processes_as_they_were(clusters: Clusters, gemini: Gemini) -> None:
    cluster = await clusters.start(gateways=2, workers=2, gateway={"SESSION_TTL": "4", "LOG_TTL": "2"})
    processes = [*cluster.gateways, *cluster.workers]
    before = {process.name: process.files() for process in processes}
    await _visits(cluster, USERS)

    async def out_of_the_queue() -> bool:
        return await cluster.redis.zcard(keys.READY) == await cluster.redis.zcard(keys.LIVE) == 0

    await found(out_of_the_queue, "the queue to forget the turns", 5.0)
    persistent = {key async for key in cluster.redis.scan_iter() if await cluster.redis.ttl(key) == -1}
    workers = {keys.WORKERS.encode(), keys.ABOUT.encode(), keys.LEASES.encode()}
    assert persistent == workers, "all else has a time to live"

    async def all_gone() -> bool:
        return set(await cluster.redis.keys("*")) == persistent

    await found(all_gone, "all keys to expire", 15.0)
    assert await cluster.redis.zcard(keys.WORKERS) == await cluster.redis.hlen(keys.ABOUT) == 2

    async def as_before() -> bool:
        return all(process.files() <= before[process.name] + POOLED for process in processes)

    await found(as_before, f"open files to be about {before} again", 5.0)
    info: dict[str, Any] = await cluster.redis.info("clients")
    assert info["pubsub_clients"] <= len(processes), "one subscriber for each process"


async def _visits(cluster: Cluster, users: int) -> None:
    room = asyncio.Semaphore(10)

    async def visit(number: int) -> None:
        async with room:
            await _visit(cluster, number)

    async with asyncio.TaskGroup() as group:
        for number in range(users):
            group.create_task(visit(number))


async def _visit(cluster: Cluster, number: int) -> None:
    async with User(cluster.any_url) as user:
        for turn in range(TURNS):
            asked = prompt(f"user {number}, turn {turn}", "chunks=3")
            if turn == TURNS - 1:
                answer = (await user.generate_text(asked)).okay["generated_text"]
                assert answer == expected_answer(asked, json=True)
            else:
                assert (await user.ask(asked)).text == expected_answer(asked)
        if number % 2:
            assert (await user.call("DELETE", "/session")).status == 200


async def test_the_traces_of_a_dead_worker_are_removed(clusters: Clusters) -> None:
    cluster = await clusters.start(workers=2, worker={"LEASE_SECONDS": "0.3"})
    cluster.kill(cluster.workers[0])

    async def swept() -> bool:
        left = [await cluster.redis.zcard(keys.WORKERS)]
        left += [await cluster.redis.hlen(key) for key in (keys.ABOUT, keys.LEASES)]
        return left == [1, 1, 1]

    await found(swept, "the other worker to sweep", 20.0)


async def test_a_turn_that_says_nothing_costs_redis_nothing(clusters: Clusters, gemini: Gemini) -> None:
    """Also not by the number of workers: what they send is the same with no turn and with a dozen."""
    cluster = await clusters.start(gateways=1, workers=3)

    async def scripts(seconds: float) -> int:
        """Of all clients together; other commands are a few a pass, whatever runs."""
        before = await _scripts(cluster)
        await asyncio.sleep(seconds)
        return await _scripts(cluster) - before

    async with AsyncExitStack() as stack:
        idle = await scripts(5.0)
        asked = [prompt(f"silent {number}", "hold=1") for number in range(12)]
        for text in asked:
            user = await stack.enter_async_context(User(cluster.any_url))
            await user.chat(text)
            await stack.enter_async_context(user.stream())
            await gemini.call_about(text, held=True)
        await scripts(1.5)  # each other worker looks once
        assert abs(await scripts(5.0) - idle) <= 5, "a beat more or less of each worker"


async def _scripts(cluster: Cluster) -> int:
    stats: dict[str, Any] = await cluster.redis.info("commandstats")
    return sum(each["calls"] for name, each in stats.items() if name.startswith("cmdstat_eval"))


async def test_readers_who_leave_cost_nothing_and_their_turn_goes_on(
    cluster: Cluster, user: User, gemini: Gemini
) -> None:
    asked = prompt("unread", "hold=2")
    await user.chat(asked)
    async with user.stream() as reader:
        await reader.when(lambda: bool(reader.events))
    gateway = cluster.gateways[0]
    before = gateway.files()
    for _ in range(20):
        async with user.stream("?begin=0", at=gateway.url) as passing:
            await passing.when(lambda: bool(passing.events))

    async def as_before() -> bool:
        return gateway.files() <= before + 2

    await found(as_before, f"open files to be about {before} again")
    turn = reader.connections[0].headers["X-Turn-Id"]

    async def unsubscribed() -> bool:
        return not await cluster.redis.pubsub_shardchannels(f"*{turn}")

    await found(unsubscribed, "the turn's channel to be left")
    await gemini.release()

    async def answered() -> bool:
        return len(await user.history()) == 2

    await found(answered, "the turn to end without a reader")
    assert (await user.conversation())[1] == ("model", expected_answer(asked))
