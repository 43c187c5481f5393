"""Every entry once, in order: over gaps, lost subscriptions, lost tails and slow readers."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.state.ids import START, Position
from gateway.state.records import Entry, Kind, State
from gateway.streaming import inbox
from gateway.streaming.delivery import Delivery
from gateway.streaming.follower import FIRST_PAGE, PAGE, PAGE_BYTES, AtEnd, Follower, LogGone
from gateway.streaming.relay import Pace
from tests.instant import run_instantly
from tests.unit.gateway.streaming.station import REF, Station, settled


def following(
    test: Callable[[Station, Follower], Awaitable[None]],
    after: Position = START,
    prepare: Callable[[Station], object] = lambda _: None,
    *,
    within: float = 5.0,
) -> None:
    """``within``: seconds, far below the deadline at which even a follower that missed something would look again."""

    async def main() -> None:
        station = Station()
        prepare(station)
        async with station.relay() as relay, relay.follow(REF, after) as follower:
            await test(station, follower)
            assert asyncio.get_running_loop().time() <= within

    run_instantly(main())


async def rest_of(follower: Follower) -> list[Entry]:
    entries: list[Entry] = []
    while not entries or not entries[-1].kind.terminal:
        entries += await follower.batch()
    return entries


def test_what_the_log_holds_comes_first_and_then_what_is_published() -> None:
    async def test(station: Station, follower: Follower) -> None:
        assert await follower.batch() == station.entries[:2]
        third = station.append()
        assert await follower.batch() == [third]
        assert station.commands == ["subscribe", "read"]

    following(test, prepare=lambda station: [station.append(Kind.START), station.append()])


def test_a_position_leaves_out_what_was_seen() -> None:
    async def test(station: Station, follower: Follower) -> None:
        assert await follower.batch() == station.entries[2:]

    following(test, Position(1, 1), lambda station: [station.append(Kind.START), station.append(), station.append()])


def test_a_long_log_is_read_page_by_page() -> None:
    async def test(station: Station, follower: Follower) -> None:
        assert len(await follower.batch()) == FIRST_PAGE
        assert await rest_of(follower) == station.entries[FIRST_PAGE:]

    def long(station: Station) -> None:
        station.append(Kind.START)
        for _ in range(2 * PAGE):
            station.append()
        station.append(Kind.DONE)

    following(test, prepare=long)


def test_pages_of_large_entries_are_short() -> None:
    async def test(station: Station, follower: Follower) -> None:
        sizes = []
        while not (batch := await follower.batch())[-1].kind.terminal:
            sizes.append(len(batch))
        assert sizes[0] == FIRST_PAGE
        assert max(sizes[1:]) * 10_000 <= PAGE_BYTES

    def heavy(station: Station) -> None:
        for _ in range(100):
            station.append(data="x" * 10_000)
        station.append(Kind.DONE)

    following(test, prepare=heavy)


def test_messages_during_the_read_of_the_log_are_neither_lost_nor_doubled() -> None:
    async def test(station: Station, follower: Follower) -> None:
        reading = asyncio.ensure_future(rest_of(follower))
        while "read" not in station.commands:
            await asyncio.sleep(0)
        for _ in range(5):
            station.append()
        station.append(Kind.DONE)
        assert await reading == station.entries

    following(test, prepare=lambda station: station.append(Kind.START))


def test_a_gap_is_filled_from_the_log_at_once() -> None:
    async def test(station: Station, follower: Follower) -> None:
        await follower.batch()
        station.append(heard=False)
        station.append()
        assert await follower.batch() == station.entries[1:]

    following(test, prepare=lambda station: station.append(Kind.START))


def test_a_gap_that_the_log_cannot_fill_is_waited_for_without_haste() -> None:
    async def test(station: Station, follower: Follower) -> None:
        for _ in range(3):
            station.append()
        await follower.batch()
        lost = [station.append(heard=False), station.append()]
        del station.entries[4:]  # the server came back with an older log
        last = Entry(Position(1, 7), Position(1, 6), Kind.DONE, b"{}")
        waiting = asyncio.ensure_future(rest_of(follower))
        station.publish(last)
        before = len(station.commands)
        for _ in range(100):
            await asyncio.sleep(0.1)
            station.publish(last)
        assert not waiting.done()
        assert len(station.commands) - before < 20
        entries = [*lost, Entry(Position(1, 6), Position(1, 5), Kind.TEXT, b"x"), last]
        for entry in entries:  # the worker sends it all again
            station.entries.append(entry)
            station.publish(entry)
        assert await waiting == entries

    following(test, prepare=lambda station: station.append(Kind.START), within=15)


def test_a_reader_who_saw_what_the_log_lost_goes_on_with_the_next_attempt() -> None:
    async def test(station: Station, follower: Follower) -> None:
        del station.entries[2:]
        reset = station.append(Kind.RESET)
        assert await follower.batch() == [reset]

    following(test, Position(1, 3), lambda station: [station.append(Kind.START), *(station.append() for _ in range(3))])


def test_a_new_attempt_is_linked_to_the_one_before() -> None:
    async def test(station: Station, follower: Follower) -> None:
        await follower.batch()
        station.append(heard=False)
        station.append(Kind.RESET)
        station.append()
        station.append(Kind.DONE)
        assert await rest_of(follower) == station.entries[1:]

    following(test, prepare=lambda station: station.append(Kind.START))


def test_messages_of_the_past_are_dropped() -> None:
    async def test(station: Station, follower: Follower) -> None:
        first = await follower.batch()
        for entry in first:
            station.publish(entry)
        station.append()
        assert await follower.batch() == station.entries[3:]

    following(test, prepare=lambda station: [station.append(Kind.START), station.append(), station.append()])


def test_a_message_that_is_none_is_survived() -> None:
    async def test(station: Station, follower: Follower) -> None:
        await follower.batch()
        for junk in (b"", b"nonsense", b"1-1 1-0 novelty\nx", b"\xff\xfe 1-0 text\nx", b"1-1 x text\n"):
            station.say(junk)
        station.append()
        assert await follower.batch() == station.entries[1:]

    following(test, prepare=lambda station: station.append(Kind.START))


@pytest.mark.parametrize("size", [1, 10_000])
def test_a_slow_reader_costs_a_bounded_buffer_and_loses_nothing(size: int) -> None:
    async def test(station: Station, follower: Follower) -> None:
        await follower.batch()
        for _ in range(500):
            station.append(data="x" * size)
            assert len(follower._inbox.held) <= inbox.ENTRIES
            assert sum(len(delivery.entry.data) for delivery in follower._inbox.held) <= inbox.BYTES
        assert follower._inbox.held == []
        station.append(Kind.DONE)
        assert await rest_of(follower) == station.entries[1:]

    following(test, prepare=lambda station: station.append(Kind.START))


def test_while_redis_is_away_the_reader_waits_and_then_goes_on() -> None:
    async def test(station: Station, follower: Follower) -> None:
        await follower.batch()
        station.away = True
        station.cut()
        station.append(heard=False)
        waiting = asyncio.ensure_future(follower.batch())
        await asyncio.sleep(3600)
        assert not waiting.done()
        station.away = False
        assert await waiting == station.entries[1:]

    following(test, prepare=lambda station: station.append(Kind.START), within=3602)


def test_a_log_that_cannot_be_read_is_read_later() -> None:
    async def test(station: Station, follower: Follower) -> None:
        await follower.batch()
        station.away = True
        station.append(heard=False)
        station.append()
        waiting = asyncio.ensure_future(follower.batch())
        await asyncio.sleep(60)
        assert 60 <= station.commands.count("read") <= 200
        station.away = False
        assert await waiting == station.entries[1:]

    following(test, prepare=lambda station: station.append(Kind.START), within=62)


def test_a_deleted_log_is_gone() -> None:
    async def test(station: Station, follower: Follower) -> None:
        await follower.batch()
        station.state = None
        station.cut()
        with pytest.raises(LogGone):
            await follower.batch()

    following(test, prepare=lambda station: station.append(Kind.START))


def test_the_last_word_of_a_deleted_turn_is_heard() -> None:
    async def test(station: Station, follower: Follower) -> None:
        await follower.batch()
        last = station.append(Kind.STOPPED)
        station.entries.clear()
        station.state = None
        assert await follower.batch() == [last]

    following(test, prepare=lambda station: station.append(Kind.START))


def test_a_position_at_the_end_is_at_the_end() -> None:
    async def test(station: Station, follower: Follower) -> None:
        with pytest.raises(AtEnd):
            await follower.batch()

    following(test, Position(1, 1), lambda station: [station.append(Kind.START), station.append(Kind.DONE)])


def test_an_end_that_lies_before_the_position_is_an_end() -> None:
    async def test(station: Station, follower: Follower) -> None:
        waiting = asyncio.ensure_future(follower.batch())
        await settled()
        station.append(Kind.STOPPED)  # ended from a log that had lost its tail
        with pytest.raises(AtEnd):
            await waiting

    following(test, Position(1, 9), lambda station: station.append(Kind.START))


def test_an_ended_log_with_a_hole_is_gone() -> None:
    async def test(station: Station, follower: Follower) -> None:
        with pytest.raises(LogGone):
            await follower.batch()

    def holed(station: Station) -> None:
        for kind in (Kind.START, Kind.TEXT, Kind.TEXT, Kind.DONE):
            station.append(kind)
        del station.entries[1]

    following(test, Position(1, 0), holed)


def test_an_interrupted_read_is_repeated() -> None:
    async def test(station: Station, follower: Follower) -> None:
        reading = asyncio.ensure_future(follower.batch())
        while "read" not in station.commands:
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await rest_of(follower) == station.entries

    following(test, prepare=lambda station: [station.append(Kind.START), station.append(Kind.DONE)])


def test_a_silent_turn_past_its_deadline_is_ended_even_unheard() -> None:
    async def main() -> None:
        station = Station()
        station.append(Kind.START)
        async with station.relay(Pace(deadline=100)) as relay, relay.follow(REF) as follower:
            await follower.batch()
            waiting = asyncio.ensure_future(follower.batch())
            await asyncio.sleep(95)
            assert station.overdue_calls == 0
            station.overdue = True
            [failed] = await waiting
            assert failed.kind is Kind.FAILED
            assert station.overdue_calls == 1
            assert station.state is State.FAILED

    run_instantly(main())


def test_a_turn_found_overdue_is_ended_at_the_next_heartbeat() -> None:
    async def test(station: Station, follower: Follower) -> None:
        assert [entry.kind for entry in await rest_of(follower)] == [Kind.START, Kind.FAILED]

    def overdue(station: Station) -> None:
        station.append(Kind.START)
        station.overdue = True

    following(test, prepare=overdue, within=20)


fault = st.sampled_from(
    ["heard", "unheard", "burst", "new attempt", "cut", "away", "back", "tail lost", "read", "junk"]
)


@settings(deadline=None)
@given(st.booleans(), st.lists(fault, max_size=10), st.lists(fault, max_size=40))
def test_whatever_happens_each_entry_comes_once_and_in_order(
    expected: bool, before: list[str], faults: list[str]
) -> None:
    """The turn's worker remembers what it wrote, and writes again what a restarted server has lost.

    ``before``: what happens to a turn, expected or not, that nobody follows yet.
    """

    async def main() -> None:
        station = Station()
        got: list[Entry] = []
        async with station.relay() as relay:
            if expected:
                relay.expect(REF)
                await asyncio.sleep(0)
            station.append(Kind.START)
            for what in before:
                await _do(what, station, None, got)
            async with relay.follow(REF) as follower:
                for what in faults:
                    await _do(what, station, follower, got)
                station.away = False
                station.append(Kind.DONE)
                got += await rest_of(follower)
        assert got == station.entries

    run_instantly(main())


async def _do(what: str, station: Station, follower: Follower | None, got: list[Entry]) -> None:
    match what:
        case "tail lost":
            await _lose_tail(station)
        case "read":
            with suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    if follower is None:
                        await asyncio.Event().wait()
                    else:
                        got += await follower.batch()
        case _:
            _befall(what, station)


def _befall(what: str, station: Station) -> None:
    match what:
        case "heard" | "unheard":
            station.append(heard=what == "heard")
        case "burst":
            for _ in range(100):
                station.append()
        case "new attempt":
            station.append(Kind.RESET)
        case "cut":
            station.cut()
        case "away" | "back":
            station.away = what == "away"
        case "junk":
            station.say(b"junk")


async def _lose_tail(station: Station) -> None:
    """The server forgets what it wrote last; the worker sends it again."""
    tail = station.entries[-2:] if len(station.entries) > 2 else []
    del station.entries[len(station.entries) - len(tail) :]
    await settled()
    for entry in tail:
        station.entries.append(entry)
        station.publish(entry)


def test_what_is_pushed_is_not_given_again_and_what_is_refused_is_given() -> None:
    async def test(station: Station, follower: Follower) -> None:
        assert await follower.batch() == station.entries
        accepted: list[Entry] = []

        def push(delivery: Delivery) -> bool:
            if len(accepted) == 2:
                return False
            accepted.append(delivery.entry)
            return True

        follower.push = push
        waiting = asyncio.ensure_future(follower.batch())
        await settled()
        first, second, third, fourth = (station.append() for _ in range(4))
        assert await waiting == [third, fourth]
        assert accepted == [first, second]

    following(test, prepare=lambda station: station.append(Kind.START))


def test_a_turn_s_end_is_never_pushed() -> None:
    async def test(station: Station, follower: Follower) -> None:
        assert await follower.batch() == station.entries
        follower.push = lambda _: True
        waiting = asyncio.ensure_future(follower.batch())
        await settled()
        end = station.append(Kind.DONE)
        assert await waiting == [end]

    following(test, prepare=lambda station: station.append(Kind.START))


def test_whoever_has_left_lets_go_of_what_leads_back_to_it() -> None:
    async def main() -> None:
        async with Station().relay() as relay:
            async with relay.follow(REF) as follower:
                follower.push = lambda _: True
            assert follower.push is None

    run_instantly(main())
