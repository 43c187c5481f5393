"""One subscription for all: shared, counted, renewed, given back."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.state import keys
from gateway.state.ids import Position, SessionId, TurnId, TurnRef
from gateway.state.records import Kind
from gateway.streaming.channel import Channel
from gateway.streaming.follower import Follower, LogGone
from gateway.streaming.relay import Pace, Relay
from tests.instant import run_instantly
from tests.unit.gateway.streaming.station import A_WHILE, CHANNEL, REF, Station, settled


def test_followers_of_one_turn_share_a_subscription_and_the_encoded_event() -> None:
    async def main() -> None:
        station = Station()
        async with station.relay() as relay, relay.follow(REF) as one, relay.follow(REF) as other:
            await settled()
            assert station.commands.count("subscribe") == 1
            takes = asyncio.gather(one.take(), other.take())
            await settled()
            station.append(Kind.START)
            station.append()
            [*_, last_of_one], [*_, last_of_other] = await takes
            assert last_of_one is last_of_other
            assert last_of_one.event(REF.turn) is last_of_other.event(REF.turn)

    run_instantly(main())


def test_the_last_to_leave_gives_the_subscription_back() -> None:
    async def main() -> None:
        station = Station()
        async with station.relay() as relay:
            async with relay.follow(REF):
                async with relay.follow(REF):
                    await settled()
                await asyncio.sleep(A_WHILE)
                assert "unsubscribe" not in station.commands
            await settled()
            assert "unsubscribe" not in station.commands, "there is no hurry"
            await asyncio.sleep(A_WHILE)
            assert station.commands == ["subscribe", "unsubscribe"]
            assert relay.followers == 0
            assert not relay._channels

    run_instantly(main())


def test_a_turn_costs_the_same_however_many_have_ended_since_the_last_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, looks = 100, 0
    wanted: Callable[[Channel], bool] = vars(Channel)["wanted"].fget

    def look(channel: Channel) -> bool:
        nonlocal looks
        looks += 1
        return wanted(channel)

    monkeypatch.setattr(Channel, "wanted", property(look))

    async def main() -> None:
        async with Station().relay() as relay:
            for number in range(turns):
                async with relay.follow(TurnRef(REF.session, TurnId(f"{number:024}"))):
                    await settled()
            await asyncio.sleep(A_WHILE)
            assert looks <= 2 * turns, "once to be heard, once to be forgotten"
            assert not relay._channels

    run_instantly(main())


def test_a_reader_who_leaves_at_once_leaves_nothing_behind() -> None:
    async def main() -> None:
        station = Station()
        station.away = True
        async with station.relay() as relay:
            async with relay.follow(REF):
                pass
            assert not relay._channels
            station.away = False
            await settled()
            assert station.commands == []

    run_instantly(main())


def test_the_confirmation_of_an_earlier_subscription_does_not_count() -> None:
    """Subscribe, unsubscribe, subscribe: what is published before the second confirmation would not be heard."""

    async def main() -> None:
        station = Station()
        station.confirming = False
        station.append(Kind.START)
        async with station.relay() as relay:
            async with relay.follow(REF):
                await settled()
            await asyncio.sleep(A_WHILE)
            async with relay.follow(REF) as follower:
                await settled()
                assert station.commands == ["subscribe", "unsubscribe", "subscribe"]
                waiting = asyncio.ensure_future(follower.batch())
                station.confirming = True
                assert station.line is not None
                station.line.confirm(most=1)
                await settled()
                assert "read" not in station.commands
                station.line.confirm(most=1)
                assert await waiting == station.entries

    run_instantly(main())


def test_a_reader_who_comes_as_another_leaves_keeps_the_subscription() -> None:
    async def main() -> None:
        station = Station()
        station.append(Kind.START)
        async with station.relay() as relay:
            first = relay.follow(REF)
            async with first:
                await first.batch()
            async with relay.follow(REF) as second:  # nobody had time to unsubscribe
                assert await second.batch() == station.entries
                station.append()
                assert await second.batch() == station.entries[1:]
            assert station.commands.count("subscribe") == 1

    run_instantly(main())


def test_a_new_connection_subscribes_all_that_is_followed_and_nothing_else() -> None:
    async def main() -> None:
        station = Station()
        others = [TurnRef(SessionId("s"), TurnId(f"{n:024x}")) for n in range(3)]
        async with station.relay() as relay, relay.follow(REF), relay.follow(others[0]), relay.follow(others[1]):
            async with relay.follow(others[2]):
                await settled()
            station.away = True
            station.cut()
            await settled()
            station.away = False
            await asyncio.sleep(2)
            assert station.line is not None
            assert station.line.subscribed == {CHANNEL, *(keys.log(*ref).encode() for ref in others[:2])}

    run_instantly(main())


def test_reconnecting_becomes_slower_but_never_slow() -> None:
    async def main() -> None:
        station = Station()
        station.away = True
        async with station.relay() as relay, relay.follow(REF) as follower:
            await asyncio.sleep(100)
            station.away = False
            station.append(Kind.START)
            async with asyncio.timeout(1.1):
                await follower.batch()

    run_instantly(main())


async def first_batch(follower: Follower) -> None:
    async with follower:
        await follower.batch()


def test_only_a_few_logs_are_read_at_once() -> None:
    async def main() -> None:
        station = Station()
        station.append(Kind.START)
        reading = most = 0
        read = station.read

        async def counted(*args: object, **options: object) -> object:
            nonlocal reading, most
            reading += 1
            most = max(most, reading)
            try:
                return await read(*args, **options)  # type: ignore[arg-type]
            finally:
                reading -= 1

        station.read = counted  # type: ignore[method-assign, assignment]
        async with station.relay() as relay, asyncio.TaskGroup() as tasks:
            for _ in range(50):
                tasks.create_task(first_batch(relay.follow(REF)))
        assert most == 8

    run_instantly(main())


def test_leaving_ends_the_relay_even_while_it_loses_its_connection() -> None:
    async def main() -> None:
        for moment in range(8):
            station = Station()
            async with station.relay() as relay, relay.follow(REF):
                await settled()
                station.cut()
                for _ in range(moment):
                    await asyncio.sleep(0)

    run_instantly(main())


def test_an_error_of_the_body_is_not_hidden() -> None:
    async def main() -> None:
        async with Station().relay():
            raise LogGone

    with pytest.raises(LogGone):
        run_instantly(main())


async def expected(station: Station, relay: Relay) -> None:
    relay.expect(REF)
    await settled()
    assert station.commands == ["subscribe"]


def test_a_turn_that_is_heard_since_before_it_began_is_not_read() -> None:
    async def main() -> None:
        station = Station()
        async with station.relay() as relay:
            await expected(station, relay)
            started = station.append(Kind.START)
            async with relay.follow(REF) as follower:
                assert await follower.batch() == [started]
                said = station.append()
                assert await follower.batch() == [said]
                await asyncio.sleep(A_WHILE)
            assert station.commands == ["subscribe"]

    run_instantly(main())


def test_a_turn_of_which_nothing_is_heard_is_read_after_all() -> None:
    async def main() -> None:
        station = Station()
        async with station.relay() as relay:
            await expected(station, relay)
            station.append(Kind.START, heard=False)
            station.append(Kind.DONE, heard=False)
            async with relay.follow(REF) as follower:
                assert await follower.batch() == station.entries
            assert asyncio.get_running_loop().time() <= A_WHILE

    run_instantly(main())


def test_an_expected_turn_whose_first_words_were_missed_is_read_at_once() -> None:
    async def main() -> None:
        station = Station()
        async with station.relay() as relay:
            await expected(station, relay)
            station.append(Kind.START, heard=False)
            async with relay.follow(REF) as follower:
                began = asyncio.get_running_loop().time()
                station.append()
                assert await follower.batch() == station.entries
                assert asyncio.get_running_loop().time() - began < 0.1

    run_instantly(main())


def test_an_expected_turn_is_not_read_where_its_reader_is_quicker_than_the_confirmation() -> None:
    async def main() -> None:
        station = Station()
        station.confirming = False
        async with station.relay() as relay:
            await expected(station, relay)
            async with relay.follow(REF) as follower:
                await settled()
                station.confirming = True
                assert station.line is not None
                station.line.confirm()
                station.append(Kind.START)
                assert await follower.batch() == station.entries
            assert station.commands == ["subscribe"]

    run_instantly(main())


def test_what_is_missed_by_a_new_connection_is_read_also_of_an_expected_turn() -> None:
    async def main() -> None:
        station = Station()
        async with station.relay() as relay:
            await expected(station, relay)
            async with relay.follow(REF) as follower:
                station.append(Kind.START)
                await follower.batch()
                station.cut()
                station.append(Kind.DONE, heard=False)
                assert await follower.batch() == station.entries[1:]
                assert asyncio.get_running_loop().time() < Pace().tick

    run_instantly(main())


def test_only_a_reader_of_the_beginning_goes_by_what_was_heard() -> None:
    async def main() -> None:
        station = Station()
        async with station.relay() as relay:
            await expected(station, relay)
            station.append(Kind.START)
            async with relay.follow(REF, Position(1, 0)) as late, relay.follow(REF) as second:
                await settled()
                station.append()
                assert await late.batch() == station.entries[1:]
                assert await second.batch() == station.entries
            assert station.commands.count("read") == 2

    run_instantly(main())


def test_a_turn_that_is_expected_and_never_followed_is_forgotten() -> None:
    async def main() -> None:
        station = Station()
        async with station.relay() as relay:
            await expected(station, relay)
            for _ in range(100):
                station.append()
            await asyncio.sleep(A_WHILE)
            assert station.commands == ["subscribe", "unsubscribe"]
            assert not relay._channels

    run_instantly(main())


def test_an_expected_turn_is_forgotten_once_where_the_connection_is_lost() -> None:
    async def main() -> None:
        station = Station()
        async with station.relay() as relay:
            await expected(station, relay)
            station.cut()
            await asyncio.sleep(A_WHILE)
            assert not relay._channels
            async with relay.follow(REF) as follower:
                said = station.append()
                assert await follower.batch() == [said]

    run_instantly(main())


def test_an_expected_turn_is_forgotten_once_where_its_reader_left_before_it_was_heard() -> None:
    async def main() -> None:
        station = Station()
        async with station.relay() as relay:
            relay.expect(REF)
            async with relay.follow(REF):
                pass
            await asyncio.sleep(A_WHILE)
            assert not relay._channels
            await expected(station, relay)

    run_instantly(main())


def test_a_turn_expected_while_the_connection_is_lost_is_read() -> None:
    async def main() -> None:
        station = Station()
        async with station.relay() as relay:
            await expected(station, relay)
            station.cut()
            await asyncio.sleep(0.01)
            station.append(Kind.START)
            async with relay.follow(REF) as follower:
                assert await follower.batch() == station.entries
            assert "read" in station.commands

    run_instantly(main())


def test_an_idle_stream_costs_no_command() -> None:
    async def main() -> None:
        station = Station()
        station.append(Kind.START)
        async with station.relay() as relay, relay.follow(REF) as follower:
            await follower.batch()
            before = list(station.commands)
            waiting = asyncio.ensure_future(follower.batch())
            await asyncio.sleep(590)
            assert station.commands == before
            assert station.overdue_calls == 0
            waiting.cancel()

    run_instantly(main())
