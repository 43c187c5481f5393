"""A turn as an answer of type ``text/event-stream``.

EventSource gives up for good on any status but 200 and comes back by itself after any 200 (WHATWG HTML, 9.2.2), so
what passes is answered 200, with word of when to come back. What is final has another status, and so has a refusal by
rate: who asks too much is not to come back by itself.
"""

import random
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from quart import Request, Response

from gateway.exchange import EventStream
from gateway.guards.hangup import heed_hang_up
from gateway.problems import Draining, Passing, Problem
from gateway.state.ids import START, Position, TurnRef
from gateway.state.turns import Turns
from gateway.streaming import sse
from gateway.streaming.relay import Relay
from gateway.streaming.stream import write_events

_HEADERS = {"Cache-Control": "no-cache, no-store, no-transform", "X-Accel-Buffering": "no"}

_ON_TROUBLE = 2
"""How many times longer than usual to stay away when something is wrong here."""


class EventStreams:
    def __init__(self, relay: Relay, turns: Turns, retry_ms: Callable[[], int]) -> None:
        self._relay = relay
        self._turns = turns
        self._retry_ms = retry_ms

    def follow(self, ref: TurnRef, after: Position = START) -> Response:
        """Raises Draining."""
        heed_hang_up()
        if self._relay.draining:
            raise Draining
        body = partial(write_events, self._relay, ref, after=after, retry_ms=self._retry_ms)
        return EventStream(body, {**_HEADERS, "X-Turn-Id": ref.turn}, sse.CONTENT_TYPE)

    def expect(self, ref: TurnRef) -> None:
        """The turn is about to begin, and its stream to follow."""
        self._relay.expect(ref)

    async def resume(self, ref: TurnRef, after: Position) -> Response:
        """Goes on behind a position: 204 where nothing can follow it any more. Raises StateUnavailable, Draining."""
        self._relay.meter.resumes += 1
        status = await self._turns.status(ref)
        if status is None:
            return self.expired()
        if status.state.ended and after >= status.last:
            return Response(status=HTTPStatus.NO_CONTENT)
        return self.follow(ref, after)

    def expired(self) -> Response:
        """The one event of a log that is gone; its id is answered 204 next time."""
        self._relay.meter.events["expired"] += 1
        return _whole(sse.EXPIRED)

    def come_back(self, request: Request) -> Response:
        """A clean end, with word of when to come back, to the place that the reader came with."""
        place = request.headers.get("Last-Event-ID", "")
        return _whole(sse.come_back(self._retry_ms() * _ON_TROUBLE, place))


def wants_events(request: Request) -> bool:
    """Whether the caller asked for an event stream by name."""
    return any(kind == sse.CONTENT_TYPE and quality > 0 for kind, quality in request.accept_mimetypes)


def is_sent_away(problem: Problem, request: Request) -> bool:
    """Whether ``problem`` is to be told as a stream that asks to come back."""
    return isinstance(problem, Passing) and request.path in ("/stream", "/chat") and wants_events(request)


def jittered(milliseconds: int) -> Callable[[], int]:
    """Times from half to one and a half of what is given, so that readers cut off together come back one by one."""
    return lambda: random.randint(milliseconds // 2 + 1, milliseconds * 3 // 2 + 1)


def _whole(body: bytes) -> Response:
    return Response(body, HTTPStatus.OK, _HEADERS, content_type=sse.CONTENT_TYPE)
