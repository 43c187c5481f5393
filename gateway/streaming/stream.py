"""A turn as the body of one ``text/event-stream`` response.

The race of a reader: its next events, a heartbeat when there are none for long, the process's drain, and the reader's
own going, which is a cancellation. A stream ends by returning, between events.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.state.ids import START, Position, TurnRef
from gateway.state.records import Kind
from gateway.streaming import sse
from gateway.streaming.delivery import Delivery
from gateway.streaming.follower import AtEnd, Follower, LogGone
from gateway.streaming.meter import StreamMeter
from gateway.streaming.relay import Relay


class Outlet(Protocol):
    """Where a response's body goes."""

    def write(self, piece: bytes, /, *, last: bool = False) -> Awaitable[None]:
        """Returns when the reader can take more. After the ``last`` piece there is none."""

    def write_now(self, piece: bytes, /) -> bool:
        """Writes if the reader can take it at once; False, and nothing done, if that has to be waited for."""


async def write_events(
    relay: Relay, ref: TurnRef, outlet: Outlet, after: Position = START, *, retry_ms: Callable[[], int]
) -> None:
    """Writes the turn's events after a position. All that waits goes out as one piece of bytes.

    Returns after the turn's end (or at once, if the position is that), when the log is gone (told as ``expired``), and
    when the process drains (told by ``retry``). ``retry_ms`` gives milliseconds, anew for every call (jitter).
    """
    meter = relay.meter
    meter.open += 1
    try:
        await outlet.write(sse.preamble(ref.turn, after, retry_ms()))
        async with relay.follow(ref, after) as follower:
            events = _Events(follower, outlet, meter, untold=after == START)
            follower.push = events.push
            while not relay.draining:
                deliveries = await follower.take()
                if not deliveries:
                    await outlet.write(sse.HEARTBEAT)
                    continue
                ends = deliveries[-1].entry.kind.terminal
                if piece := events.told(deliveries):
                    await outlet.write(piece, last=ends)
                if ends:
                    return
                del deliveries, piece  # Not to be kept for as long as nothing follows.
            meter.dropped["drain"] += 1
            await outlet.write(sse.come_back(retry_ms()), last=True)
    except AtEnd:
        return
    except LogGone:
        meter.events["expired"] += 1
        await outlet.write(sse.EXPIRED, last=True)
    finally:
        meter.open -= 1


class _Events:
    """One reader's entries as bytes, and what is counted of them."""

    __slots__ = ("_follower", "_meter", "_outlet", "_untold")

    def __init__(self, follower: Follower, outlet: Outlet, meter: StreamMeter, *, untold: bool) -> None:
        """``untold``: the reader has had no text of the turn."""
        self._follower = follower
        self._outlet = outlet
        self._meter = meter
        self._untold = untold

    def push(self, delivery: Delivery) -> bool:
        """Writes what comes while the reader waits, in the step in which it comes: no task is woken for it. False where
        it has to be waited for."""
        piece = delivery.event(self._follower.ref.turn)
        if piece and not self._outlet.write_now(piece):
            return False
        self._count(delivery, len(piece))
        return True

    def told(self, deliveries: list[Delivery]) -> bytes:
        turn = self._follower.ref.turn
        pieces = [delivery.event(turn) for delivery in deliveries]
        for delivery, piece in zip(deliveries, pieces, strict=True):
            self._count(delivery, len(piece))
        return b"".join(pieces)

    def _count(self, delivery: Delivery, size: int) -> None:
        meter, kind = self._meter, delivery.entry.kind
        if self._untold and kind is Kind.TEXT:
            self._untold = False
            meter.first_text(self._follower.age)
        meter.sent_bytes += size
        meter.events[kind] += 1
