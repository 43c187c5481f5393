"""POST /generate_text: one prompt, one answer, no session. It runs through the workers like any turn."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from quart import Blueprint, Response

from gateway import models, shapes
from gateway.answers import json_answer
from gateway.guards.hangup import heed_hang_up
from gateway.guards.rates import RateGuard
from gateway.guards.trace import traceparent
from gateway.problems import BadRequest, TooLarge, Upstream
from gateway.schema import SchemaError, check_schema
from gateway.state.errors import StateUnavailable
from gateway.state.ids import TurnRef
from gateway.state.records import Entry, Kind, TextRequest
from gateway.state.turns import Turns
from gateway.streaming.follower import AtEnd, LogGone
from gateway.streaming.relay import Relay

TAKE_SCHEMAS = ("application/json", "text/x.enum")
_PATIENCE_BEYOND_DEADLINE = 5.0
_STOP_SECONDS = 2.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TextLimits:
    prompt_chars: int
    schema_bytes: int
    schema_depth: int
    deadline: float
    mime_type: str
    """Of answers whose caller named none."""


class Text:
    def __init__(
        self, rates: RateGuard, turns: Turns, relay: Relay, limits: TextLimits, *, on_begun: Callable[[], None]
    ) -> None:
        self._rates = rates
        self._turns = turns
        self._relay = relay
        self._limits = limits
        self._on_begun = on_begun

    def blueprint(self) -> Blueprint:
        routes = Blueprint("text", __name__)
        routes.add_url_rule("/generate_text", "generate", self._rates.counting(self.generate), methods=["POST"])
        return routes

    async def generate(self) -> Response:
        asked = await models.read(models.TextPrompt)
        request = self._checked(asked)
        ref = await self._submit(asked.prompt, request)
        self._on_begun()
        try:
            heed_hang_up()
            async with asyncio.timeout(self._limits.deadline + _PATIENCE_BEYOND_DEADLINE):
                text, end = await self._outcome(ref)
        except TimeoutError:
            await self._stop(ref)
            raise Upstream("timeout", "The answer took too long.") from None
        except asyncio.CancelledError:
            # The caller hung up. Nobody else can want this answer.
            await self._stop(ref)
            raise
        return _answer(text, end)

    async def _submit(self, prompt: str, request: TextRequest) -> TurnRef:
        """Also when the caller hangs up meanwhile, the turn that was begun is known, and stopped."""
        submit = self._turns.submit(
            prompt, request, trace=traceparent(), expect=self._relay.expect, ask=self._rates.ask
        )
        submission = asyncio.ensure_future(submit)
        try:
            return await asyncio.shield(submission)
        except asyncio.CancelledError:
            await self._stop(await submission)
            raise

    async def _outcome(self, ref: TurnRef) -> tuple[str, Entry]:
        """The last attempt's text and the turn's end."""
        pieces: list[bytes] = []
        try:
            async with self._relay.follow(ref) as follower:
                while True:
                    for entry in await follower.batch():
                        if entry.kind.terminal:
                            return b"".join(pieces).decode(), entry
                        if entry.kind is Kind.TEXT:
                            pieces.append(entry.data)
                        else:
                            pieces.clear()
        except (AtEnd, LogGone):
            raise Upstream("lost", "The answer was lost; try again.") from None

    async def _stop(self, ref: TurnRef) -> None:
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._turns.stop(ref)
        except (StateUnavailable, TimeoutError) as error:
            log.warning("turn_not_stopped", turn=ref.turn, reason=str(error))

    def _checked(self, asked: models.TextPrompt) -> TextRequest:
        limits = self._limits
        if len(asked.prompt) > limits.prompt_chars:
            raise TooLarge(f"The prompt is longer than {limits.prompt_chars} characters.")
        mime_type = asked.response_mime_type or limits.mime_type
        if asked.response_schema is not None:
            if mime_type not in TAKE_SCHEMAS:
                raise BadRequest(f"A response_schema needs a response_mime_type of {' or '.join(TAKE_SCHEMAS)}.")
            try:
                check_schema(asked.response_schema, max_bytes=limits.schema_bytes, max_depth=limits.schema_depth)
            except SchemaError as error:
                raise BadRequest(str(error)[:300]) from None
        return TextRequest(mime_type, asked.response_schema)


def _answer(text: str, end: Entry) -> Response:
    said: dict[str, Any] = msgspec.json.decode(end.data or b"{}")
    if end.kind is Kind.FAILED:
        raise Upstream(said["error"], said["message"])
    if end.kind is Kind.STOPPED:
        raise Upstream("stopped", "The answer was stopped before its end.")
    reason = said.get("finish_reason")
    if not text and reason != "STOP":
        raise Upstream("blocked", f"Gemini gave no answer ({reason}).")
    return json_answer(shapes.Generated(generated_text=text), {"X-Finish-Reason": reason} if reason else None)
