"""Turns written through the contract reach followers whole, on every backend."""

import asyncio

import pytest

from gateway.state import keys
from gateway.state.ids import Position
from gateway.state.records import Entry, Kind
from gateway.streaming.follower import AtEnd, Follower, LogGone
from gateway.streaming.stream import write_events
from tests.integration.gateway.streaming.conftest import Airtime
from tests.outlet import Written
from tests.sse import parse, text_of


async def rest_of(follower: Follower) -> list[Entry]:
    entries: list[Entry] = []
    while not entries or not entries[-1].kind.terminal:
        entries += await follower.batch()
    return entries


async def channels(air: Airtime) -> list[bytes]:
    found: list[bytes] = await air.scene.raw.execute_command("PUBSUB", "SHARDCHANNELS", "gg1:{*")
    return found


async def test_a_turn_is_followed_from_before_its_claim_to_its_end(air: Airtime) -> None:
    ref = await air.scene.begun()
    async with air.relay.follow(ref) as follower:
        claim = await air.scene.claim(ref)
        [start] = await follower.batch()
        assert (start.kind, start.id) == (Kind.START, Position(1, 0))
        await air.scene.say(claim, 1, "Hello ")
        assert [entry.data for entry in await follower.batch()] == [b"Hello "]
        await air.scene.say(claim, 2, "wörld\n")
        await air.scene.end(claim, 3)
        assert [entry.kind for entry in await rest_of(follower)] == [Kind.TEXT, Kind.DONE]


async def test_a_second_tab_follows_from_the_beginning(air: Airtime) -> None:
    claim = await air.scene.claimed()
    async with air.relay.follow(claim.ref) as first:
        await air.scene.say(claim, 1, "one ")
        await first.batch()
        async with air.relay.follow(claim.ref) as second:
            await air.scene.say(claim, 2, "two")
            await air.scene.end(claim, 3)
            whole = await rest_of(second)
            assert [entry.id.seq for entry in whole] == [0, 1, 2, 3]
            assert whole == await air.scene.entries(claim.ref)


async def test_a_new_attempt_is_heard(air: Airtime) -> None:
    claim = await air.scene.claimed()
    async with air.relay.follow(claim.ref) as follower:
        await air.scene.say(claim, 1, "half")
        again = await air.scene.reattempted(claim)
        await air.scene.say(again, 1, "whole")
        await air.scene.end(again, 2)
        kinds = [entry.kind for entry in await rest_of(follower)]
        assert kinds == [Kind.START, Kind.TEXT, Kind.RESET, Kind.TEXT, Kind.DONE]


async def test_a_stream_is_the_turn_in_events(air: Airtime) -> None:
    claim = await air.scene.claimed()
    await air.scene.say(claim, 1, "a\n b")
    await air.scene.end(claim, 2)
    outlet = Written()
    await write_events(air.relay, claim.ref, outlet, retry_ms=lambda: 1)
    found = parse(outlet.whole)
    assert text_of(found) == "a\n b"
    assert [event.last_event_id for event in found] == [f"{claim.ref.turn}:1-1", f"{claim.ref.turn}:1-2"]


async def test_the_server_knows_a_channel_only_while_somebody_follows(air: Airtime) -> None:
    claim = await air.scene.claimed()
    async with air.relay.follow(claim.ref) as follower:
        await follower.batch()
        assert await channels(air) == [keys.log(*claim.ref).encode()]
    async with asyncio.timeout(5):
        while await channels(air):
            await asyncio.sleep(0)


async def test_a_stop_of_a_waiting_turn_is_heard(air: Airtime) -> None:
    ref = await air.scene.begun()
    async with air.relay.follow(ref) as follower:
        ending = asyncio.ensure_future(rest_of(follower))
        while not await channels(air):
            await asyncio.sleep(0)
        await air.scene.turns.stop(ref)
        assert (await ending)[-1].kind is Kind.STOPPED


async def test_deleting_the_session_in_mid_turn_is_a_stop_for_those_who_listen_and_the_end_for_others(
    air: Airtime,
) -> None:
    session = await air.scene.session()
    claim = await air.scene.claimed(session)
    async with air.relay.follow(claim.ref) as listening, air.relay.follow(claim.ref) as slow:
        await listening.batch()
        await air.scene.say(claim, 1, "half")
        await listening.batch()
        await air.scene.sessions.delete(session.id)
        assert [entry.kind for entry in await listening.batch()] == [Kind.STOPPED]
        with pytest.raises(LogGone):
            await slow.batch()


async def test_at_the_end_there_is_nothing_to_wait_for(air: Airtime) -> None:
    claim = await air.scene.claimed()
    await air.scene.end(claim, 1)
    async with air.relay.follow(claim.ref, Position(1, 1)) as follower:
        with pytest.raises(AtEnd):
            await follower.batch()


async def test_a_hundred_turns_and_two_hundred_readers_get_each_their_own(air: Airtime) -> None:
    claims = [await air.scene.claimed() for _ in range(100)]

    async def read(number: int) -> None:
        async with air.relay.follow(claims[number].ref) as follower:
            texts = [entry.data for entry in await rest_of(follower) if entry.kind is Kind.TEXT]
        assert texts == [b"%d-%d" % (number, seq) for seq in range(1, 6)]

    async with asyncio.TaskGroup() as tasks:
        for number in (*range(100), *range(100)):
            tasks.create_task(read(number))
        for seq in range(1, 6):
            for number, claim in enumerate(claims):
                await air.scene.say(claim, seq, f"{number}-{seq}")
        for claim in claims:
            await air.scene.end(claim, 6)
    assert air.relay.followers == 0
