"""GET /stream: the session's turn as server-sent events."""

from collections.abc import Callable

from quart import Blueprint, Response, request
from werkzeug.exceptions import MethodNotAllowed

from gateway.guards.gate import visit
from gateway.guards.origin import Caller
from gateway.guards.rates import RateGuard
from gateway.guards.session import SessionGuard
from gateway.guards.trace import belongs_to, traceparent
from gateway.problems import Conflict
from gateway.routes.event_stream import EventStreams
from gateway.state.errors import NotAdmitted, NothingPending, SessionGone
from gateway.state.ids import TurnRef, session_id
from gateway.state.records import Session
from gateway.state.turns import Turns
from gateway.streaming import sse


class Stream:
    def __init__(
        self,
        guard: SessionGuard,
        rates: RateGuard,
        turns: Turns,
        streams: EventStreams,
        *,
        on_begun: Callable[[], None],
    ) -> None:
        self._guard = guard
        self._rates = rates
        self._turns = turns
        self._streams = streams
        self._on_begun = on_begun

    def blueprint(self) -> Blueprint:
        routes = Blueprint("stream", __name__)
        routes.add_url_rule("/stream", "follow", self._rates.counting(self.follow), methods=["GET"])
        return routes

    async def follow(self) -> Response:
        """In this order: an id goes on with its turn and begins none; a running turn is followed from its beginning;
        what is pending becomes a turn; nothing is 409."""
        if request.method == "HEAD":  # It would begin a turn and show nothing of it.
            raise MethodNotAllowed(["GET", "OPTIONS"])
        seen = request.headers.get("Last-Event-ID") or request.args.get("last_event_id")
        begins = not seen and request.args.get("begin") != "0"
        if not begins:
            await self._rates.count()
        if seen:
            return await self._resume(await self._guard.known(), seen)
        ref = await (self._running_or_begun() if begins else self._running())
        if ref is None:
            raise _nothing_to_stream()
        await belongs_to(self._turns, ref)
        return self._streams.follow(ref)

    async def _resume(self, session: Session | None, seen: str) -> Response:
        if seen == sse.EXPIRED_ID:
            return Response(status=204)
        parsed = sse.parse_event_id(seen)
        if session is None or parsed is None:
            return self._streams.expired()
        turn, after = parsed
        ref = TurnRef(session.id, turn)
        await belongs_to(self._turns, ref)
        return await self._streams.resume(ref, after)

    async def _running(self) -> TurnRef | None:
        return _running_turn(await self._guard.known())

    async def _running_or_begun(self) -> TurnRef | None:
        """The turn that runs, or the one that begins here: what is pending is not read before. Raises NotAdmitted."""
        token = visit().token
        if token is None:
            return None
        session = Session.unread(session_id(token))
        try:
            begun = await self._turns.begin(
                session, trace=traceparent(), expect=self._streams.expect, ask=self._rates.ask
            )
        except (NothingPending, SessionGone):
            return None
        except NotAdmitted:
            # What runs is followed all the same, and nothing to say is nothing to say, also while no worker lives.
            known = await self._guard.known()
            if known is not None and known.pending and known.running is None:
                raise
            return _running_turn(known)
        if begun.new:
            self._on_begun()
        return TurnRef(session.id, begun.turn)


def _running_turn(session: Session | None) -> TurnRef | None:
    return TurnRef(session.id, session.running) if session is not None and session.running is not None else None


def _nothing_to_stream() -> Conflict:
    if visit().caller is Caller.FOREIGN:
        message = "Without its cookie there is no session; chat from another origin needs that origin in CORS_ORIGIN."
        return Conflict("nothing_pending", message)
    return Conflict("nothing_pending", "There is no message or image to answer; send one first.")
