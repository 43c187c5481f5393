"""A turn as the body of one ``text/event-stream`` response.

The race of a reader: its next events, a heartbeat when there are none for long, the process's drain, and the reader's
own going, which reaches the generator as a cancellation or as ``aclose``. A stream ends by returning, between events.
"""

from collections.abc import AsyncGenerator, Callable

from gateway.state.ids import START, Position, TurnRef
from gateway.streaming import sse
from gateway.streaming.follower import AtEnd, LogGone
from gateway.streaming.relay import Relay


async def events(
    relay: Relay, ref: TurnRef, after: Position = START, *, retry_ms: Callable[[], int]
) -> AsyncGenerator[bytes, None]:
    """The turn's events after a position. All that waits goes out as one piece of bytes.

    Returns after the turn's end (or at once, if the position is that), when the log is gone (told as ``expired``), and
    when the process drains (told by ``retry``). ``retry_ms`` gives milliseconds, anew for every call (jitter).
    """
    turn = ref.turn
    yield sse.preamble(turn, after, retry_ms())
    try:
        async with relay.follow(ref, after) as follower:
            while not relay.draining:
                deliveries = await follower.take()
                if not deliveries:
                    yield sse.HEARTBEAT
                    continue
                if piece := b"".join([delivery.event(turn) for delivery in deliveries]):
                    yield piece
                if deliveries[-1].entry.kind.terminal:
                    return
            yield sse.come_back(retry_ms())
    except AtEnd:
        return
    except LogGone:
        yield sse.EXPIRED
