"""GET and DELETE /session: what the caller has open here, and an end to all of it."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType
from quart import Blueprint, Response

from gateway import shapes
from gateway.answers import json_answer, success
from gateway.guards.session import SessionGuard
from gateway.state.ids import TurnRef
from gateway.state.queue import Queue
from gateway.state.records import Session, State
from gateway.state.sessions import Sessions
from gateway.state.turns import Turns


class SessionResource:
    def __init__(
        self, guard: SessionGuard, sessions: Sessions, turns: Turns, queue: Queue, limits: shapes.Limits
    ) -> None:
        self._guard = guard
        self._sessions = sessions
        self._turns = turns
        self._queue = queue
        self._limits = limits

    def blueprint(self) -> Blueprint:
        routes = Blueprint("session", __name__)
        routes.add_url_rule("/session", "show", self.show, methods=["GET"])
        routes.add_url_rule("/session", "delete", self.delete, methods=["DELETE"])
        return routes

    async def show(self) -> Response:
        """Opens the session and sets its cookie where there is none: a page's first call."""
        session = await self._guard.known_or_new()
        turn = await self._turn(session)
        model, offline = await self._model()
        return json_answer(
            shapes.SessionState(
                pending=shapes.Pending(message=session.pending_message, images=session.pending_images),
                turn=turn,
                usage=msgspec.convert(session.usage, shapes.Usage, from_attributes=True),
                model=model,
                offline=offline,
                limits=self._limits,
            )
        )

    async def delete(self) -> Response:
        session = await self._guard.known()
        if session is not None:
            await self._sessions.delete(session.id)
        self._guard.forget()
        return success()

    async def _turn(self, session: Session) -> shapes.RunningTurn | None:
        if session.running is None:
            return None
        status = await self._turns.status(TurnRef(session.id, session.running))
        if status is None or status.state.ended:
            return None
        state: Literal["queued", "running"] = "queued" if status.state is State.QUEUED else "running"
        return shapes.RunningTurn(id=session.running, state=state, attempt=status.attempt)

    async def _model(self) -> tuple[str | UnsetType, bool]:
        """What answers and whether that is the offline model, as the workers say."""
        workers = (await self._queue.census()).workers
        if not workers:
            return UNSET, False
        # While a deploy rolls, workers differ: what most say.
        said = [(about.model, about.offline) for about in workers.values()]
        return max(sorted(set(said)), key=said.count)
