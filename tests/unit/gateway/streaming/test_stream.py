"""A turn as a response's body."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from hypothesis import given
from hypothesis import strategies as st

from gateway.state.ids import START, Position
from gateway.state.records import Kind
from gateway.streaming import sse
from gateway.streaming.relay import Relay
from gateway.streaming.stream import write_events
from tests.instant import run_instantly
from tests.outlet import Written
from tests.sse import Parser, parse, text_of
from tests.unit.gateway.streaming.station import A_WHILE, REF, Station, settled


class Reader:
    """Who has to be waited for, each time."""

    def __init__(self) -> None:
        self.offered: asyncio.Queue[tuple[bytes, asyncio.Future[None]]] = asyncio.Queue()

    async def write(self, piece: bytes, /, *, last: bool = False) -> None:
        taken = asyncio.get_running_loop().create_future()
        self.offered.put_nowait((piece, taken))
        await taken

    def write_now(self, piece: bytes, /) -> bool:
        return False


async def stream(relay: Relay, after: Position = START) -> AsyncGenerator[bytes, None]:
    """The pieces, as a reader takes them: the next one is not written before this one is taken."""
    outlet = Reader()
    offered = outlet.offered
    writing = asyncio.ensure_future(write_events(relay, REF, outlet, after, retry_ms=lambda: 1234))
    offer = asyncio.ensure_future(offered.get())
    try:
        while True:
            await asyncio.wait({writing, offer}, return_when=asyncio.FIRST_COMPLETED)
            if not offer.done():
                break
            piece, taken = offer.result()
            offer = asyncio.ensure_future(offered.get())
            yield piece
            taken.set_result(None)
        writing.result()
    finally:
        offer.cancel()
        writing.cancel()
        await asyncio.wait({writing})


async def read_all(body: AsyncGenerator[bytes, None]) -> list[bytes]:
    return [piece async for piece in body]


def test_the_first_bytes_say_where_the_stream_begins_and_need_no_redis() -> None:
    async def main() -> None:
        station = Station()
        station.away = True
        async with station.relay() as relay:
            body = stream(relay, Position(2, 3))
            assert await anext(body) == sse.preamble(REF.turn, Position(2, 3), 1234)
            await body.aclose()

    run_instantly(main())


def test_it_returns_after_the_end_and_sends_what_waits_in_one_piece() -> None:
    async def main() -> None:
        station = Station()
        for kind in (Kind.START, Kind.TEXT, Kind.TEXT, Kind.DONE):
            station.append(kind)
        async with station.relay() as relay:
            _, piece = await read_all(stream(relay))
            assert relay.followers == 0
        found = parse(piece)
        assert text_of(found) == "<1-1><1-2>"
        assert [event.type for event in found] == ["message", "message", "done"]

    run_instantly(main())


def test_a_start_alone_sends_nothing() -> None:
    async def main() -> None:
        station = Station()
        station.append(Kind.START)
        async with station.relay() as relay:
            body = stream(relay)
            await anext(body)
            reading = asyncio.ensure_future(anext(body))
            await settled()
            assert not reading.done()
            station.append()
            assert text_of(parse(await reading)) == "<1-1>"
            await body.aclose()

    run_instantly(main())


def test_silence_is_filled_with_a_comment_every_fifteen_seconds_even_while_redis_is_away() -> None:
    async def main() -> None:
        station = Station()
        station.append(Kind.START)
        station.append()
        async with station.relay() as relay:
            body = stream(relay)
            await anext(body)
            await anext(body)
            station.away = True
            station.cut()
            clock = asyncio.get_running_loop().time
            for _ in range(3):
                since = clock()
                assert await anext(body) == sse.HEARTBEAT
                assert 14 <= clock() - since <= 16.01
            await body.aclose()

    run_instantly(main())


def test_a_busy_stream_has_no_heartbeat() -> None:
    async def main() -> None:
        station = Station()
        station.append(Kind.START)
        async with station.relay() as relay:
            reading = asyncio.ensure_future(read_all(stream(relay)))
            for _ in range(10):
                await asyncio.sleep(10)
                station.append()
            station.append(Kind.DONE)
            assert sse.HEARTBEAT not in await reading

    run_instantly(main())


def test_a_reader_who_was_busy_for_long_gets_what_waits_and_no_heartbeat() -> None:
    async def main() -> None:
        station = Station()
        station.append(Kind.START)
        station.append()
        async with station.relay() as relay:
            body = stream(relay)
            await anext(body)
            await anext(body)
            station.append()
            await asyncio.sleep(40)
            assert text_of(parse(await anext(body))) == "<1-2>"
            since = asyncio.get_running_loop().time()
            assert await anext(body) == sse.HEARTBEAT
            assert asyncio.get_running_loop().time() - since >= 14
            await body.aclose()

    run_instantly(main())


def test_a_drain_ends_the_stream_between_two_events_with_word_to_come_back() -> None:
    async def main() -> None:
        station = Station()
        station.append(Kind.START)
        station.append()
        async with station.relay() as relay:
            reading = asyncio.ensure_future(read_all(stream(relay)))
            await settled()
            relay.drain()
            whole = b"".join(await reading)
            assert relay.followers == 0
        parser = Parser()
        assert text_of(parser.feed(whole)) == "<1-1>"
        assert whole.endswith(sse.come_back(1234))
        assert parser.last_event_id == sse.event_id(REF.turn, Position(1, 1))

    run_instantly(main())


def test_a_stream_that_opens_during_the_drain_is_sent_elsewhere() -> None:
    async def main() -> None:
        station = Station()
        station.append(Kind.START)
        async with station.relay() as relay:
            relay.drain()
            assert await read_all(stream(relay)) == [sse.preamble(REF.turn, START, 1234), sse.come_back(1234)]

    run_instantly(main())


def test_a_log_that_is_gone_is_told_as_expired() -> None:
    async def main() -> None:
        station = Station()
        station.state = None
        async with station.relay() as relay:
            assert (await read_all(stream(relay)))[1:] == [sse.EXPIRED]

    run_instantly(main())


def test_a_position_at_the_end_just_ends() -> None:
    async def main() -> None:
        station = Station()
        station.append(Kind.START)
        station.append(Kind.DONE)
        async with station.relay() as relay:
            assert (await read_all(stream(relay, Position(1, 1))))[1:] == []

    run_instantly(main())


def test_a_reader_who_goes_while_waiting_leaves_nothing_behind() -> None:
    async def main() -> None:
        station = Station()
        station.append(Kind.START)
        async with station.relay() as relay:
            reading = asyncio.ensure_future(read_all(stream(relay)))
            await settled()
            assert relay.followers == 1
            reading.cancel()
            await settled()
            assert relay.followers == 0
            await asyncio.sleep(A_WHILE)
            assert station.commands[-1] == "unsubscribe"

    run_instantly(main())


def test_a_reader_who_goes_between_two_pieces_leaves_nothing_behind() -> None:
    async def main() -> None:
        station = Station()
        station.append(Kind.START)
        station.append()
        async with station.relay() as relay:
            body = stream(relay)
            await anext(body)
            await anext(body)
            assert relay.followers == 1
            await body.aclose()
            assert relay.followers == 0

    run_instantly(main())


def test_a_stream_that_is_never_read_holds_nothing() -> None:
    async def main() -> None:
        async with Station().relay() as relay:
            body = stream(relay)
            assert relay.followers == 0
            await body.aclose()

    run_instantly(main())


def told(story: Callable[[Station, Written], Awaitable[None]]) -> Written:
    """What a reader is written who has come to the end of a log, while the story goes on and the turn then ends."""
    outlet = Written()

    async def main() -> None:
        station = Station()
        station.append(Kind.START)
        async with station.relay() as relay:
            writing = asyncio.ensure_future(write_events(relay, REF, outlet, retry_ms=lambda: 1))
            await settled()
            await story(station, outlet)
            station.append(Kind.DONE)
            await writing

    run_instantly(main())
    return outlet


def test_what_comes_while_the_reader_waits_is_written_in_that_step() -> None:
    async def story(station: Station, outlet: Written) -> None:
        for number in (1, 2, 3):
            station.append()
            assert (outlet.pushed, text_of(parse(outlet.pieces[-1]))) == (number, f"<1-{number}>")

    assert [event.type for event in parse(told(story).whole)] == ["message"] * 3 + ["done"]


def test_what_the_reader_cannot_take_at_once_comes_in_its_place() -> None:
    async def story(station: Station, outlet: Written) -> None:
        station.append()
        outlet.at_once = False
        station.append()
        outlet.at_once = True
        station.append()  # The one before has not been written yet.
        await settled()
        station.append()

    outlet = told(story)
    assert text_of(parse(outlet.whole)) == "<1-1><1-2><1-3><1-4>"
    assert outlet.pushed == 2


def test_a_gap_is_filled_from_the_log_and_nothing_is_written_before_that() -> None:
    async def story(station: Station, outlet: Written) -> None:
        station.append(heard=False)
        station.append()
        assert outlet.pushed == 0
        station.append()
        await settled()

    assert text_of(parse(told(story).whole)) == "<1-1><1-2><1-3>"


def test_a_repeated_message_is_written_once() -> None:
    async def story(station: Station, _: Written) -> None:
        station.publish(station.append())
        await settled()

    assert text_of(parse(told(story).whole)) == "<1-1>"


def test_heartbeats_count_from_what_was_written_last_whoever_wrote_it() -> None:
    async def story(station: Station, outlet: Written) -> None:
        for _ in range(10):
            await asyncio.sleep(10)
            station.append()
        assert sse.HEARTBEAT not in outlet.pieces
        await asyncio.sleep(16)
        assert outlet.pieces[-1] == sse.HEARTBEAT

    told(story)


Step = Callable[[Station, Written], object]

STEPS: list[Step | None] = [
    lambda station, _: station.cut(),
    lambda station, _: station.append(),
    lambda station, _: station.append(heard=False),
    lambda station, _: station.publish(station.entries[-1]),
    lambda _, outlet: setattr(outlet, "at_once", False),
    lambda _, outlet: setattr(outlet, "at_once", True),
    None,
]
"""What may befall a stream; None is a while in which nothing does."""


@given(st.lists(st.sampled_from(STEPS), max_size=40))
def test_every_entry_is_written_once_and_in_order_whichever_way_it_goes(steps: list[Step | None]) -> None:
    said: list[str] = []

    async def story(station: Station, outlet: Written) -> None:
        for step in steps:
            if step is None:
                await settled()
            else:
                step(station, outlet)
        said.extend(entry.data.decode() for entry in station.entries if entry.kind is Kind.TEXT)

    assert text_of(parse(told(story).whole)) == "".join(said)
