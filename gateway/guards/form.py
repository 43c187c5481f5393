"""Multipart forms, kept in memory: the body's own bound is the bound, and no temporary file is ever written."""

import asyncio
from collections import deque
from collections.abc import Generator
from typing import IO, Any, cast

from quart.formparser import FormDataParser
from quart.wrappers.request import Body
from werkzeug.datastructures import FileStorage

from gateway.framework import LeanRequest

_PIECE = 64 * 1024
"""Bytes that are handled in one go: a photograph that is there whole would hold everybody else up."""
_SMALL = 4 * 1024
"""Pieces of fewer bytes are put together, so that many of them do not cost more memory than what they hold."""


class Pieces:
    """Bytes as they come, however small: to make megabytes one, and to let go of them in one go, takes long as well."""

    def __init__(self) -> None:
        self.held: deque[bytes | bytearray] = deque()

    def write(self, content: bytes) -> None:
        for at in range(0, len(content), _PIECE):
            piece = content[at : at + _PIECE]
            if len(piece) >= _SMALL:
                self.held.append(piece)
                continue
            last = self.held[-1] if self.held else b""
            if not isinstance(last, bytearray) or len(last) + len(piece) > _PIECE:
                last = bytearray()
                self.held.append(last)
            last += piece

    def seek(self, _: int) -> None:
        """A form's parser does so when it has written all."""


class PiecemealBody(Body):
    """As an iterator it gives what has arrived in small pieces, and lets others have their turn in between."""

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(expected_content_length, max_content_length)
        self._pieces = Pieces()

    def append(self, data: bytes) -> None:
        self._pieces.write(data)
        if data:
            self._has_data.set()

    async def __anext__(self) -> bytes:
        if self._pieces.held:
            await asyncio.sleep(0)
        elif not self._complete.is_set():
            self._has_data.clear()
            await self._has_data.wait()
        if not self._pieces.held:
            raise StopAsyncIteration
        return bytes(self._pieces.held.popleft())

    def __await__(self) -> Generator[Any, None, bytes]:
        yield from self._complete.wait().__await__()
        return b"".join(self._pieces.held)

    def clear(self) -> None:
        self._pieces.held.clear()


class FormRequest(LeanRequest):
    """A malformed form raises ``ValueError`` instead of looking empty."""

    body_class = PiecemealBody

    def make_form_data_parser(self) -> FormDataParser:
        return FormDataParser(
            cls=self.parameter_storage_class,
            max_content_length=None,
            max_form_memory_size=self.max_form_memory_size,
            max_form_parts=self.max_form_parts,
            silent=False,
            stream_factory=_memory,
        )


def in_memory(part: FileStorage) -> deque[bytes | bytearray]:
    """A file in pieces, to be taken out."""
    return cast("Pieces", part.stream).held


def _memory(*_: object) -> IO[bytes]:
    return cast("IO[bytes]", Pieces())
