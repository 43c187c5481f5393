"""POST /upload: pictures for the next message."""

import unicodedata
from collections import deque
from typing import Protocol

from quart import Blueprint, Response, request

from gateway import shapes
from gateway.answers import json_answer
from gateway.guards import body
from gateway.guards.form import in_memory
from gateway.guards.session import SessionGuard
from gateway.images.decoder import ImageDecoder
from gateway.problems import BadRequest, Problem, TooLarge, Unsupported
from gateway.state.records import Image, Session
from gateway.state.sessions import Sessions

_NAME_MAX_CHARS = 255


class ImageMeter(Protocol):
    def image_accepted(self, size: int) -> None: ...

    def image_refused(self) -> None: ...


class Upload:
    def __init__(
        self, guard: SessionGuard, sessions: Sessions, decoder: ImageDecoder, meter: ImageMeter, *, max_files: int
    ) -> None:
        self._guard = guard
        self._sessions = sessions
        self._decoder = decoder
        self._meter = meter
        self._max_files = max_files

    def blueprint(self) -> Blueprint:
        routes = Blueprint("upload", __name__)
        routes.add_url_rule("/upload", "add", self.add, methods=["POST"])
        return routes

    async def add(self) -> Response:
        """All files are accepted, or none; they take the place of those uploaded before."""
        files = await self._files()
        images: list[Image] = []
        for name, content in files:
            image = await self._decoded(content, name)
            if image.ref.id not in {other.ref.id for other in images}:
                images.append(image)

        async def store(session: Session) -> None:
            await self._sessions.put_images(session, images)

        await self._guard.write(store)
        return json_answer(shapes.Uploaded(filename=", ".join(name for name, _ in files)))

    async def _decoded(self, content: deque[bytes | bytearray], name: str) -> Image:
        size = sum(map(len, content))
        try:
            image = await self._decoder.decode(content, name)
        except Problem:
            self._meter.image_refused()
            raise
        self._meter.image_accepted(size)
        return image

    async def _files(self) -> list[tuple[str, deque[bytes | bytearray]]]:
        """The parts named ``file``, each with a name fit to be shown."""
        if request.mimetype != "multipart/form-data":
            raise Unsupported("unsupported_media_type", "Send the file as multipart/form-data, in a part named file.")
        try:
            parts = (await request.files).getlist("file")
        except ValueError:
            body.check()
            raise BadRequest("The body is not valid multipart/form-data.") from None
        body.check()
        files = [(_shown(part.filename), in_memory(part)) for part in parts if part.filename]
        if not files:
            raise BadRequest("There is no file; send it as multipart/form-data, in a part named file.")
        if len(files) > self._max_files:
            raise TooLarge(f"More than {self._max_files} files in one upload.")
        return files


def _shown(name: str | None) -> str:
    """The last part of a path, without characters that control or cannot be shown."""
    last = (name or "").replace("\\", "/").rstrip("/").rpartition("/")[2]
    plain = "".join(c for c in last if unicodedata.category(c)[0] != "C")
    return plain.strip()[:_NAME_MAX_CHARS] or "file"
