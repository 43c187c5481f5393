"""Multipart forms, kept in memory: the body's own bound is the bound, and no temporary file is ever written."""

import asyncio
import io
from typing import IO, cast

from quart import Request
from quart.formparser import FormDataParser
from quart.wrappers.request import Body
from werkzeug.datastructures import FileStorage

_PIECE = 64 * 1024
"""Bytes parsed in one go: a photograph that is there whole would hold everybody else up."""


class PiecemealBody(Body):
    """As an iterator it gives what has arrived in small pieces, and lets others have their turn in between."""

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(expected_content_length, max_content_length)
        self._rest = memoryview(b"")

    async def __anext__(self) -> bytes:
        if self._rest:
            await asyncio.sleep(0)
        else:
            self._rest = memoryview(await super().__anext__())
        piece, self._rest = self._rest[:_PIECE], self._rest[_PIECE:]
        return bytes(piece)


class FormRequest(Request):
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


def in_memory(part: FileStorage) -> memoryview:
    """A file's bytes where they lie: megabytes are not copied."""
    return cast("io.BytesIO", part.stream).getbuffer()


def _memory(*_: object) -> IO[bytes]:
    return io.BytesIO()
