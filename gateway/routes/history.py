"""GET and DELETE /history, and GET /images/ID: what was said and shown."""

from http import HTTPStatus

import msgspec
from msgspec import UNSET
from quart import Blueprint, Response, request

from gateway import shapes
from gateway.answers import json_answer, success
from gateway.guards.origin import embeddable
from gateway.guards.session import SessionGuard
from gateway.problems import NotFound
from gateway.state.history import HistoryTurn
from gateway.state.ids import parse_image_id
from gateway.state.records import ImageRef, rfc3339
from gateway.state.sessions import Sessions

_IMAGE_MAX_AGE = 3600


class History:
    def __init__(self, guard: SessionGuard, sessions: Sessions) -> None:
        self._guard = guard
        self._sessions = sessions

    def blueprint(self) -> Blueprint:
        routes = Blueprint("history", __name__)
        routes.add_url_rule("/history", "show", self.show, methods=["GET"])
        routes.add_url_rule("/history", "clear", self.clear, methods=["DELETE"])
        routes.add_url_rule("/images/<name>", "image", self.image, methods=["GET"])
        return routes

    async def show(self) -> Response:
        session = await self._guard.known()
        turns = [] if session is None else await self._sessions.history(session.id)
        return json_answer(
            shapes.Conversation(messages=tuple(message for turn in turns for message in _messages(turn)))
        )

    async def clear(self) -> Response:
        session = await self._guard.known()
        if session is not None:
            await self._sessions.clear(session)
        return success()

    @embeddable
    async def image(self, name: str) -> Response:
        """An image's bytes, to the session that holds it. The name says the content, so that never changes."""
        image_id = parse_image_id(name)
        session = await self._guard.known()
        image = None
        if session is not None and image_id is not None:
            image = await self._sessions.image(session.id, image_id)
        if image is None:
            raise NotFound("There is no such image in this session.")
        response = Response(image.content, HTTPStatus.OK, content_type=image.ref.mime_type)
        response.set_etag(image.ref.id)
        response.headers["Cache-Control"] = f"private, max-age={_IMAGE_MAX_AGE}, immutable"
        response.headers["Vary"] = "Cookie"
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        return await response.make_conditional(request)


def _messages(turn: HistoryTurn) -> tuple[shapes.UserMessage, shapes.ModelMessage]:
    result = turn.result
    said = shapes.UserMessage(
        id=f"{turn.turn}-user",
        text=turn.input.text or "",
        images=tuple(_image(ref) for ref in turn.input.images),
        created_at=rfc3339(turn.input.created_at),
    )
    answered = shapes.ModelMessage(
        id=f"{turn.turn}-model",
        text=turn.answer,
        stopped=result.stopped,
        finish_reason=UNSET if result.finish_reason is None else result.finish_reason,
        model=UNSET if result.model is None else result.model,
        offline=True if result.offline else UNSET,
        usage=UNSET if result.usage is None else msgspec.convert(result.usage, shapes.TurnUsage),
        created_at=rfc3339(turn.ended_at),
    )
    return said, answered


def _image(ref: ImageRef) -> shapes.HistoryImage:
    return shapes.HistoryImage(
        id=ref.id, url=f"/images/{ref.id}", mime_type=ref.mime_type, width=ref.width, height=ref.height
    )
