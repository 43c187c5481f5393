"""What a gateway's readers see of a Redis that dies, freezes, or cuts connections: nothing but a delay."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.state import keys
from gateway.state.connect import connect
from gateway.state.errors import StateUnavailable
from gateway.state.ids import Position
from gateway.state.records import Claim, Entry, Kind
from gateway.streaming.follower import Follower, LogGone
from gateway.streaming.inbox import ENTRIES
from tests.integration.gateway.streaming.conftest import PATIENCE, Airtime
from tests.integration.gateway.streaming.path import NetworkPath
from tests.integration.gateway.streaming.test_relay import rest_of
from tests.servers import RedisServer

pytestmark = pytest.mark.timeout(20)


async def insistently(act: Callable[[], Awaitable[object]]) -> None:
    """As a worker writes: again and again until Redis is there."""
    while True:
        try:
            await act()
        except StateUnavailable:
            await asyncio.sleep(0.01)
        else:
            return


async def finish(air: Airtime, claim: Claim, seq: int) -> None:
    await insistently(lambda: air.scene.say(claim, seq, "after"))
    await insistently(lambda: air.scene.end(claim, seq + 1))


async def begun_and_followed(air: Airtime, claim: Claim, follower: Follower) -> list[Entry]:
    await air.scene.say(claim, 1, "before")
    got = await follower.batch()
    while got[-1].id.seq < 1:
        got += await follower.batch()
    return got


def check(got: list[Entry]) -> None:
    assert [(entry.kind, entry.data) for entry in got[1:-1]] == [(Kind.TEXT, b"before"), (Kind.TEXT, b"after")]
    assert got[-1].kind is Kind.DONE


async def test_a_server_killed_and_started_again(durable_air: Airtime, durable: RedisServer) -> None:
    claim = await durable_air.scene.claimed()
    async with durable_air.relay.follow(claim.ref) as follower:
        got = await begun_and_followed(durable_air, claim, follower)
        durable.kill()
        reading = asyncio.ensure_future(rest_of(follower))
        await asyncio.sleep(PATIENCE)
        assert not reading.done()
        durable.start()
        await finish(durable_air, claim, 2)
        check(got + await reading)


async def test_a_server_killed_while_nothing_is_to_come_but_the_end(durable_air: Airtime, durable: RedisServer) -> None:
    """The end is written before the subscription is renewed: only the log has it."""
    claim = await durable_air.scene.claimed()
    async with durable_air.relay.follow(claim.ref) as follower:
        got = await begun_and_followed(durable_air, claim, follower)
        durable.restart()
        await finish(durable_air, claim, 2)
        check(got + await rest_of(follower))


async def test_a_frozen_server_that_thaws(real_air: Airtime, server: RedisServer) -> None:
    claim = await real_air.scene.claimed()
    async with real_air.relay.follow(claim.ref) as follower:
        got = await begun_and_followed(real_air, claim, follower)
        server.freeze()
        reading = asyncio.ensure_future(rest_of(follower))
        await asyncio.sleep(2 * PATIENCE)
        assert not reading.done()
        server.thaw()
        await finish(real_air, claim, 2)
        check(got + await reading)


@pytest.mark.parametrize("kind", ["PUBSUB", "NORMAL"])
async def test_connections_cut_by_the_server(real_air: Airtime, server: RedisServer, kind: str) -> None:
    claim = await real_air.scene.claimed()
    outside: Any = server.client()
    async with real_air.relay.follow(claim.ref) as follower:
        got = await begun_and_followed(real_air, claim, follower)
        await outside.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "YES")
        await finish(real_air, claim, 2)
        check(got + await rest_of(follower))
    await outside.aclose()


async def test_a_subscription_that_went_deaf_is_renewed(server: RedisServer) -> None:
    """The connection stands, and nothing comes over it any more: no error ever tells."""
    async with NetworkPath(server.port) as path:
        redis = connect(path.url, timeout=0.3)
        air = Airtime(redis)
        await air.scene.beat()
        async with air.relay:
            claim = await air.scene.claimed()
            async with air.relay.follow(claim.ref) as follower:
                got = await begun_and_followed(air, claim, follower)
                path.swallow()
                await finish(air, claim, 2)
                check(got + await rest_of(follower))
        await redis.aclose()


async def test_a_slow_reader_gets_everything_and_costs_a_bounded_buffer(real_air: Airtime) -> None:
    claim = await real_air.scene.claimed()
    async with real_air.relay.follow(claim.ref) as slow, real_air.relay.follow(claim.ref) as quick:
        await slow.batch()
        reading = asyncio.ensure_future(rest_of(quick))
        for seq in range(1, 301):
            await real_air.scene.say(claim, seq, str(seq))
            assert len(slow._inbox.held) <= ENTRIES
        await real_air.scene.end(claim, 301)
        whole = await real_air.scene.entries(claim.ref)
        assert await reading == whole
        assert await rest_of(slow) == whole[1:]


async def test_a_server_that_comes_back_without_its_memory_is_told_as_gone(tmp_path: Path) -> None:
    with RedisServer(tmp_path, aof=False) as server:
        redis = connect(server.url, timeout=0.3)
        air = Airtime(redis)
        await air.scene.beat()
        async with air.relay:
            claim = await air.scene.claimed()
            async with air.relay.follow(claim.ref) as follower:
                await begun_and_followed(air, claim, follower)
                server.restart()
                with pytest.raises(LogGone):
                    await follower.batch()
        await redis.aclose()


async def test_a_gap_that_a_restart_tore_is_filled_when_the_worker_writes_again(real_air: Airtime) -> None:
    """As after a crash that lost the log's tail: the record is older than what a reader has heard of."""
    scene = real_air.scene
    claim = await scene.claimed()
    async with real_air.relay.follow(claim.ref) as follower:
        got = await begun_and_followed(real_air, claim, follower)
        late = Entry(Position(1, 3), Position(1, 2), Kind.TEXT, b"late")
        await scene.raw.spublish(keys.log(*claim.ref), b"1-3 " + late.frame())
        reading = asyncio.ensure_future(rest_of(follower))
        await scene.say(claim, 2, "after")
        await scene.end(claim, 3)
        check(got + await reading)


async def test_a_server_that_refuses_subscriptions_is_asked_again(real_air: Airtime, server: RedisServer) -> None:
    claim = await real_air.scene.claimed()
    outside: Any = server.client()
    async with real_air.relay.follow(claim.ref) as follower:
        got = await begun_and_followed(real_air, claim, follower)
        await outside.execute_command("ACL", "SETUSER", "default", "resetchannels")  # disconnects whom it concerns
        reading = asyncio.ensure_future(rest_of(follower))
        await asyncio.sleep(PATIENCE)
        assert not reading.done()
        await outside.execute_command("ACL", "SETUSER", "default", "allchannels")
        await finish(real_air, claim, 2)
        check(got + await reading)
    await outside.aclose()


async def test_leaving_a_relay_gives_its_connection_back(real_air: Airtime, server: RedisServer) -> None:
    outside: Any = server.client()
    redis = connect(server.url)
    other = Airtime(redis)
    async with other.relay:
        ref = await other.scene.begun()
        async with other.relay.follow(ref):
            while len(await outside.client_list(_type="pubsub")) < 2:
                await asyncio.sleep(0)
    async with asyncio.timeout(5):
        while len(await outside.client_list(_type="pubsub")) > 1:
            await asyncio.sleep(0)
    await redis.aclose()
    await outside.aclose()
