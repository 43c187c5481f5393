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
from gateway.streaming.follower import AtEnd, LogGone
from gateway.streaming.meter import StreamMeter
from gateway.streaming.relay import Relay


class Write(Protocol):
    def __call__(self, piece: bytes, /, *, last: bool = False) -> Awaitable[None]:
        """Returns when the reader can take more. After the ``last`` piece there is none."""


async def write_events(
    relay: Relay, ref: TurnRef, write: Write, after: Position = START, *, retry_ms: Callable[[], int]
) -> None:
    """Writes the turn's events after a position. All that waits goes out as one piece of bytes.

    Returns after the turn's end (or at once, if the position is that), when the log is gone (told as ``expired``), and
    when the process drains (told by ``retry``). ``retry_ms`` gives milliseconds, anew for every call (jitter).
    """
    turn, meter, waiting = ref.turn, relay.meter, after == START
    meter.open += 1
    try:
        await write(sse.preamble(turn, after, retry_ms()))
        async with relay.follow(ref, after) as follower:
            while not relay.draining:
                deliveries = await follower.take()
                if not deliveries:
                    await write(sse.HEARTBEAT)
                    continue
                if waiting and _has_text(deliveries):
                    waiting = False
                    meter.first_text(follower.age)
                ends = deliveries[-1].entry.kind.terminal
                if piece := b"".join([delivery.event(turn) for delivery in deliveries]):
                    _count(meter, deliveries, len(piece))
                    await write(piece, last=ends)
                if ends:
                    return
                del deliveries, piece  # Not to be kept for as long as nothing follows.
            meter.dropped["drain"] += 1
            await write(sse.come_back(retry_ms()), last=True)
    except AtEnd:
        return
    except LogGone:
        meter.events["expired"] += 1
        await write(sse.EXPIRED, last=True)
    finally:
        meter.open -= 1


def _has_text(deliveries: list[Delivery]) -> bool:
    return any(delivery.entry.kind is Kind.TEXT for delivery in deliveries)


def _count(meter: StreamMeter, deliveries: list[Delivery], size: int) -> None:
    meter.sent_bytes += size
    for delivery in deliveries:
        meter.events[delivery.entry.kind] += 1
