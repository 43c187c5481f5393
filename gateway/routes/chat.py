"""POST /chat: the user's message, to be answered by the next stream, or in this very call."""

import re
from collections.abc import Callable

from quart import Blueprint, Response, request

from gateway import models
from gateway.answers import success
from gateway.guards.gate import visit
from gateway.guards.rates import RateGuard
from gateway.guards.session import SessionGuard
from gateway.guards.trace import traceparent
from gateway.problems import BadRequest, TooLarge
from gateway.routes.event_stream import EventStreams, wants_events
from gateway.state.ids import TurnRef
from gateway.state.queue import Queue
from gateway.state.records import Session
from gateway.state.sessions import Sessions
from gateway.state.turns import Turns

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class Chat:
    def __init__(
        self,
        guard: SessionGuard,
        rates: RateGuard,
        sessions: Sessions,
        turns: Turns,
        queue: Queue,
        streams: EventStreams,
        *,
        max_chars: int,
        on_begun: Callable[[], None],
    ) -> None:
        self._guard = guard
        self._rates = rates
        self._sessions = sessions
        self._turns = turns
        self._queue = queue
        self._streams = streams
        self._max_chars = max_chars
        self._on_begun = on_begun

    def blueprint(self) -> Blueprint:
        routes = Blueprint("chat", __name__)
        routes.add_url_rule("/chat", "say", self._rates.counting(self.say), methods=["POST"])
        return routes

    async def say(self) -> Response:
        key = _idempotency_key()
        message = (await models.read(models.ChatRequest)).message
        if len(message) > self._max_chars:
            raise TooLarge(f"The message is longer than {self._max_chars} characters.")
        streamed = wants_events(request)
        if not streamed or visit().token is None:  # Else it is asked as the turn begins, and no session is made for it.
            await self._queue.admit(self._rates.ask)
        if streamed:
            return await self._answer(message, key)

        async def store(session: Session) -> None:
            await self._sessions.put_message(session, message, key=key, trace=traceparent())

        await self._guard.write(store)
        return success()

    async def _answer(self, message: str, key: str | None) -> Response:
        """Message, turn and stream in one. A retried call with its key follows the turn that the first one began."""

        async def begin(session: Session) -> TurnRef:
            begun = await self._turns.begin(
                session,
                message=message,
                key=key,
                trace=traceparent(),
                expect=self._streams.expect,
                ask=self._rates.ask,
            )
            if begun.new:
                self._on_begun()
            return TurnRef(session.id, begun.turn)

        return self._streams.follow(await self._guard.write(begin))


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise BadRequest("An Idempotency-Key has 1 to 255 visible ASCII characters.")
    return key
