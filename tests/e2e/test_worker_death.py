"""A worker dies, freezes, or is killed by its turns: others take over, and readers get one whole answer."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.client import User, prompt
from tests.cluster import Cluster, Gemini, Worker
from tests.e2e.conftest import Clusters
from tests.gemini_server import expected_answer
from tests.processes import found, until

TAKEOVER = 8.0
"""Seconds: five are promised, the rest is for a busy machine."""

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lasting(stand_in: Gemini, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    directory = tmp_path_factory.mktemp("worker-death")
    async with Cluster(directory, stand_in, gateways=2, workers=2, worker={"TURN_ATTEMPTS": "2"}) as cluster:
        yield cluster


@pytest_asyncio.fixture(loop_scope="session")
async def cluster(lasting: Cluster, gemini: Gemini) -> Cluster:
    """Two gateways and two workers, whoever died in the tests before."""
    await lasting.complete(gateways=2, workers=2)
    return lasting


async def _others(cluster: Cluster, *workers: Worker) -> list[Worker]:
    return [worker for worker in cluster.workers if worker not in workers]


async def test_a_killed_workers_turn_runs_again_elsewhere_and_readers_are_told_in_time(
    cluster: Cluster, gemini: Gemini
) -> None:
    asked = prompt("killed", "hold=3 times=1")
    async with User(cluster.any_url) as user:
        await user.chat(asked)
        async with user.stream() as reader, user.stream() as tab:
            call = await gemini.call_about(asked, held=True)
            await tab.when(lambda: len(tab.text.split()) == 3)
            died = time.monotonic()
            cluster.kill(cluster.worker_of(call))
            async with asyncio.timeout(TAKEOVER):
                reset = await reader.until("reset")
            await reader.until("done")
            await tab.until("done")
        session, history = await user.session(), await user.history()

    assert time.monotonic() - died < 2 * TAKEOVER
    assert json.loads(reset.data) == {"attempt": 2, "reason": "worker_lost"}
    assert reader.text == tab.text == expected_answer(asked)
    assert reader.types() == ["reset", "done"]
    first, second = await gemini.calls_about(asked)
    assert first.key != second.key
    assert [(message["role"], message["text"]) for message in history] == [
        ("user", asked),
        ("model", expected_answer(asked)),
    ]
    # What the dead worker's attempt had used is booked, too.
    assert session["usage"]["total_tokens"] > history[1]["usage"]["total_tokens"]


async def test_all_turns_of_a_killed_worker_are_taken_over(cluster: Cluster, gemini: Gemini) -> None:
    await cluster.retire(cluster.workers[0])
    prompts = [prompt(f"user {number}", "hold=2 times=1") for number in range(12)]
    async with AsyncExitStack() as stack:
        users = [await stack.enter_async_context(User(cluster.any_url)) for _ in prompts]
        readers = []
        for user, asked in zip(users, prompts, strict=True):
            await user.chat(asked)
            readers.append(await stack.enter_async_context(user.stream()))
        for asked in prompts:
            await gemini.call_about(asked, held=True)
        [doomed] = cluster.workers
        await cluster.add_workers()
        cluster.kill(doomed)
        async with asyncio.timeout(TAKEOVER):
            for reader in readers:
                await reader.until("reset")
        for reader in readers:
            await reader.until("done")
    assert [reader.text for reader in readers] == [expected_answer(asked) for asked in prompts]
    for asked in prompts:
        assert len(await gemini.calls_about(asked)) == 2


async def test_a_worker_killed_before_the_first_word_costs_a_reset_and_no_word(
    cluster: Cluster, gemini: Gemini
) -> None:
    asked = prompt("silent", "hold=-1 times=1")
    async with User(cluster.any_url) as user:
        await user.chat(asked)
        async with user.stream() as reader:
            cluster.kill(cluster.worker_of(await gemini.call_about(asked, held=True)))
            async with asyncio.timeout(TAKEOVER):
                await reader.until("reset")
            await reader.until("done")
    assert reader.text == expected_answer(asked)
    assert reader.types() == ["reset", "done"]


async def test_a_worker_that_slept_past_its_lease_is_fenced_off_and_takes_new_work(
    cluster: Cluster, gemini: Gemini
) -> None:
    asked = prompt("asleep", "hold=3 chunks=30 delay=0.02 times=1")
    async with User(cluster.any_url) as user:
        await user.chat(asked)
        async with user.stream() as reader:
            call = await gemini.call_about(asked, held=True)
            await reader.when(lambda: len(reader.text.split()) == 3)
            sleeper = cluster.worker_of(call)
            sleeper.freeze()
            async with asyncio.timeout(TAKEOVER):
                await reader.until("reset")
            sleeper.thaw()
            await gemini.release(call.id)
            assert (await gemini.ended(call)).ended == "disconnected", (
                "its upstream call is closed, not read to its end"
            )
            await reader.until("done")
        assert reader.text == expected_answer(asked)
        assert reader.types() == ["reset", "done"]
        assert await user.conversation() == [("user", asked), ("model", expected_answer(asked))]

        [other] = await _others(cluster, sleeper)
        await cluster.retire(other)
        again = prompt("awake")
        assert (await user.ask(again)).text == expected_answer(again)
        assert [each.key for each in await gemini.calls_about(again)] == [sleeper.key]


async def test_a_worker_that_slept_past_its_lease_closes_its_call_although_gemini_says_nothing(
    cluster: Cluster, gemini: Gemini
) -> None:
    asked = prompt("silent sleep", "hold=3 times=2")
    async with User(cluster.any_url) as user:
        await user.chat(asked)
        async with user.stream() as reader:
            first = await gemini.call_about(asked, held=True)
            sleeper = cluster.worker_of(first)
            sleeper.freeze()
            async with asyncio.timeout(TAKEOVER):
                await reader.until("reset")
            second = await gemini.call_about(asked, number=2, held=True)
            sleeper.thaw()
            assert (await gemini.ended(first, timeout=2.0)).ended == "disconnected"
            assert cluster.worker_of(second) is not sleeper
            await gemini.release(second.id)
            await reader.until("done")
    assert reader.text == expected_answer(asked)
    assert reader.types() == ["reset", "done"]


async def test_a_worker_that_wakes_after_another_finished_changes_nothing(cluster: Cluster, gemini: Gemini) -> None:
    asked = prompt("too late", "hold=3 times=1")
    async with User(cluster.any_url) as user:
        await user.chat(asked)
        async with user.stream() as reader:
            call = await gemini.call_about(asked, held=True)
            sleeper = cluster.worker_of(call)
            sleeper.freeze()
            await reader.until("done")
        usage, history = (await user.session())["usage"], await user.history()
        await gemini.release(call.id)
        sleeper.thaw()
        assert (await gemini.ended(call)).ended in ("disconnected", "whole")
        again = prompt("next")
        assert (await user.ask(again)).text == expected_answer(again)
        assert (await user.history())[:2] == history
        assert (await user.session())["usage"]["total_tokens"] > usage["total_tokens"]
    assert reader.types() == ["reset", "done"]
    assert len(await gemini.calls_about(asked)) == 2


async def test_the_late_end_of_a_worker_that_slept_does_not_hide_the_turn_when_the_next_worker_dies(
    clusters: Clusters, gemini: Gemini
) -> None:
    cluster = await clusters.start(workers=2)
    asked = prompt("hidden", "hold=3 times=2")
    async with User(cluster.any_url) as user:
        await user.chat(asked)
        async with user.stream() as reader:
            first = await gemini.call_about(asked, held=True)
            sleeper = cluster.worker_of(first)
            sleeper.freeze()
            second = await gemini.call_about(asked, number=2, held=True)
            await gemini.release(first.id)
            assert (await gemini.ended(first)).ended == "whole", "the rest waits for the sleeper"
            sleeper.thaw()
            await until(
                lambda: "turn lost" in sleeper.output or '"written": "FENCED"' in sleeper.output, "it to notice"
            )
            cluster.kill(cluster.worker_of(second))
            async with asyncio.timeout(TAKEOVER):
                await reader.until(lambda event: '"attempt":3' in event.data)
            await reader.until("done")
    assert reader.text == expected_answer(asked)
    assert reader.types() == ["reset", "reset", "done"]


async def test_a_turn_that_kills_every_worker_fails_after_the_allowed_attempts_and_others_go_on(
    cluster: Cluster, gemini: Gemini
) -> None:
    await cluster.complete(gateways=2, workers=3)
    poison, harmless = prompt("poison", "hold=1"), prompt("harmless")
    async with User(cluster.any_url) as user, User(cluster.any_url) as other:
        await user.chat(poison)
        async with user.stream() as reader:
            for number in (1, 2):
                cluster.kill(cluster.worker_of(await gemini.call_about(poison, number=number, held=True)))
            assert (await other.ask(harmless)).text == expected_answer(harmless)
            failed = json.loads((await reader.until("failed")).data)
            assert (await reader.until_closed()).status == 204
        assert failed["error"] == "worker_lost"
        assert failed["retryable"] is True
        assert len(await gemini.calls_about(poison)) == 2
        assert await user.history() == []
        assert (await user.session())["pending"]["message"] is True
        assert (await user.session())["turn"] is None


async def test_a_long_silent_generation_keeps_its_lease(clusters: Clusters, gemini: Gemini) -> None:
    """Silent for many leases: its worker's counter rises, and nobody takes the turn."""
    lease = 0.4
    cluster = await clusters.start(workers=2, worker={"LEASE_SECONDS": str(lease)})
    asked = prompt("thinking", "hold=0")
    async with User(cluster.any_url) as user:
        await user.chat(asked)
        async with user.stream() as reader:
            await gemini.call_about(asked, held=True)
            before = await cluster.queue.leases()

            async def beaten_for_eight_leases() -> bool:
                now = await cluster.queue.leases()
                return all(counter - before[worker] >= 8 * 3 for worker, counter in now.items())

            await found(beaten_for_eight_leases, "the workers to beat", 30 * lease)
            await gemini.release()
            await reader.until("done")
    assert reader.text == expected_answer(asked)
    assert reader.types() == ["done"]
    assert len(await gemini.calls_about(asked)) == 1


async def test_a_generate_text_call_survives_its_worker(cluster: Cluster, gemini: Gemini) -> None:
    asked = prompt("one-off", "hold=3 times=1")
    async with User(cluster.any_url) as user, asyncio.TaskGroup() as group:
        answer = group.create_task(user.generate_text(asked))
        cluster.kill(cluster.worker_of(await gemini.call_about(asked, held=True)))
    assert answer.result().okay == {"generated_text": expected_answer(asked, json=True)}
