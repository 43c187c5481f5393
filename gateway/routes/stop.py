"""POST /stop: ends the running turn; what was answered so far stays."""

import asyncio

from quart import Blueprint, Response

from gateway import models, shapes
from gateway.answers import json_answer
from gateway.guards.session import SessionGuard
from gateway.problems import BadRequest
from gateway.state.ids import Position, TurnId, TurnRef, parse_turn_id
from gateway.state.records import State
from gateway.state.turns import StopAnswer, Turns
from gateway.streaming.follower import AtEnd, LogGone
from gateway.streaming.relay import Relay


class Stop:
    def __init__(self, guard: SessionGuard, turns: Turns, relay: Relay, *, timeout: float) -> None:
        self._guard = guard
        self._turns = turns
        self._relay = relay
        self._timeout = timeout

    def blueprint(self) -> Blueprint:
        routes = Blueprint("stop", __name__)
        routes.add_url_rule("/stop", "stop", self.stop, methods=["POST"])
        return routes

    async def stop(self) -> Response:
        """Answers when the worker has closed the upstream call, or the turn was taken from a worker that does not."""
        wanted = _turn(await models.read_if_any(models.StopRequest))
        session = await self._guard.known()
        turn = wanted or (session.running if session else None)
        stopped = session is not None and turn is not None and await self._stopped(TurnRef(session.id, turn))
        return json_answer(shapes.Stopped(stopped=stopped))

    async def _stopped(self, ref: TurnRef) -> bool:
        answer = await self._turns.stop(ref)
        if answer is not StopAnswer.ASKED:
            return answer is StopAnswer.STOPPED
        status = await self._turns.status(ref)
        if status is not None and not status.state.ended:
            try:
                async with asyncio.timeout(self._timeout):
                    await self._end(ref, status.last)
            except TimeoutError:
                await self._turns.force_stop(ref)
        status = await self._turns.status(ref)
        return status is not None and status.state is State.STOPPED

    async def _end(self, ref: TurnRef, after: Position) -> None:
        """Returns at the turn's end."""
        try:
            async with self._relay.follow(ref, after) as follower:
                while not (await follower.batch())[-1].kind.terminal:
                    pass
        except (AtEnd, LogGone):
            return


def _turn(wanted: models.StopRequest) -> TurnId | None:
    if wanted.turn is None:
        return None
    turn = parse_turn_id(wanted.turn)
    if turn is None:
        raise BadRequest("turn is not a turn's id.")
    return turn
