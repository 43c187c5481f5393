"""What is counted of streams."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.state.ids import START, Position
from gateway.state.records import Kind
from gateway.streaming.meter import StreamMeter
from gateway.streaming.relay import Relay
from gateway.streaming.stream import write_events
from tests.instant import run_instantly
from tests.outlet import Written
from tests.unit.gateway.streaming.station import REF, Station, settled


def streaming(
    test: Callable[[Station, Relay, "asyncio.Task[None]"], Awaitable[None]],
    *,
    entries: int = 1,
    after: Position = START,
    at_once: bool = True,
) -> tuple[StreamMeter, list[float], int]:
    """One stream of a turn with so many texts; what was counted, the waits for the first text, and the bytes."""
    waits: list[float] = []
    outlet = Written()
    outlet.at_once = at_once

    async def main() -> StreamMeter:
        station = Station()
        station.append(Kind.START)
        for _ in range(entries):
            station.append()
        async with station.relay() as relay:
            relay.meter.first_text = waits.append
            task = asyncio.ensure_future(write_events(relay, REF, outlet, after, retry_ms=lambda: 1))
            await settled()
            await test(station, relay, task)
            task.cancel()
            await asyncio.wait({task})
            assert relay.meter.open == 0
            return relay.meter

    meter = run_instantly(main())
    return meter, waits, sum(len(piece) for piece in outlet.pieces[1:])


def test_events_are_counted_by_kind_and_bytes_as_they_go_out() -> None:
    async def test(station: Station, relay: Relay, stream: "asyncio.Task[None]") -> None:
        assert relay.meter.open == 1
        station.append(Kind.RESET)
        station.append()
        station.append(Kind.DONE)
        await stream

    meter, _, size = streaming(test, entries=2)
    assert {kind: count for kind, count in meter.events.items() if count} == {
        "start": 1,
        "text": 3,
        "reset": 1,
        "done": 1,
    }
    assert meter.sent_bytes == size


def test_the_wait_for_the_first_text_is_told_once() -> None:
    async def test(station: Station, relay: Relay, stream: "asyncio.Task[None]") -> None:
        await asyncio.sleep(2)
        station.append()
        await settled()
        station.append()
        await settled()

    _, [wait], _ = streaming(test, entries=0)
    assert 2 < wait < 3


def test_who_resumes_waits_for_no_first_text() -> None:
    async def test(station: Station, relay: Relay, stream: "asyncio.Task[None]") -> None:
        station.append()
        await settled()

    _, waits, _ = streaming(test, after=Position(1, 1))
    assert waits == []


def test_a_gap_is_a_way_back_to_the_log() -> None:
    async def test(station: Station, relay: Relay, stream: "asyncio.Task[None]") -> None:
        station.append(heard=False)
        station.append()
        await settled()

    meter, _, _ = streaming(test)
    assert meter.fallbacks == {"gap": 1, "slow": 0, "resubscribed": 0}


def test_a_slow_reader_is_a_way_back_to_the_log_counted_once_for_each_time() -> None:
    async def test(station: Station, relay: Relay, stream: "asyncio.Task[None]") -> None:
        for _ in range(500):  # in one go: nothing is taken meanwhile
            station.append()
        await settled()

    meter, _, _ = streaming(test, at_once=False)
    assert meter.fallbacks == {"gap": 0, "slow": 1, "resubscribed": 0}
    assert meter.events["text"] == 501


def test_a_renewed_subscription_is_counted_and_so_is_every_stream_that_it_sends_back() -> None:
    async def test(station: Station, relay: Relay, stream: "asyncio.Task[None]") -> None:
        assert relay.meter.reconnects == 0
        station.cut()
        await asyncio.sleep(5)

    meter, _, _ = streaming(test)
    assert meter.reconnects == 1
    assert meter.fallbacks == {"gap": 0, "slow": 0, "resubscribed": 1}


def test_a_drain_drops_what_has_not_ended() -> None:
    async def test(station: Station, relay: Relay, stream: "asyncio.Task[None]") -> None:
        relay.drain()
        await stream

    meter, _, _ = streaming(test)
    assert meter.dropped["drain"] == 1


def test_a_log_that_is_gone_is_an_expired_event() -> None:
    async def test(station: Station, relay: Relay, stream: "asyncio.Task[None]") -> None:
        station.state = None
        station.cut()
        await stream

    meter, _, _ = streaming(test)
    assert meter.events["expired"] == 1
