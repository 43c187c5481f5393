"""Reads Gemini's stream below the SDK's models: bytes in, the few fields that an answer needs out.

The SDK loads, dumps, loads again and validates each response against models of hundreds of fields, which costs more
than all the rest of a chunk's way. This reads the same event stream (``alt=sse``) once, into structs of what is used.
The two agree: one suite runs over both.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

MOST = 32 * 1024 * 1024
"""Bytes of one response, at most."""


class Part(msgspec.Struct, frozen=True, gc=False):
    text: str | None = None
    thought: bool | None = None


class Content(msgspec.Struct, frozen=True):
    parts: list[Part] | None = None


class Candidate(msgspec.Struct, frozen=True, rename="camel"):
    content: Content | None = None
    finish_reason: str | None = None


class PromptFeedback(msgspec.Struct, frozen=True, rename="camel", gc=False):
    block_reason: str | None = None


class UsageMetadata(msgspec.Struct, frozen=True, rename="camel", gc=False):
    prompt_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    total_token_count: int | None = None


class Response(msgspec.Struct, frozen=True, rename="camel"):
    """A ``GenerateContentResponse`` (https://ai.google.dev/api/generate-content), or the error in its place."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: UsageMetadata | None = None
    model_version: str | None = None
    error: dict[str, Any] | None = None


class GarbledStream(Exception):
    """What came is no response."""


class ErrorInStream(Exception):
    """Gemini says in a response's place why there are no more. ``error`` is a ``google.rpc.Status`` in JSON."""

    def __init__(self, error: dict[str, Any]) -> None:
        self.error = error
        super().__init__(error.get("status"))


_decode = msgspec.json.Decoder(Response).decode


class ResponseReader:
    """Takes the stream's bytes as they come, cut anywhere."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._event: list[bytes] = []
        self._bare: list[bytes] = []

    def feed(self, data: bytes) -> Iterable[Response]:
        """The responses that these bytes complete, each before what comes after it is read. Raises GarbledStream and
        ErrorInStream.
        """
        whole = data.startswith(b"data:") and data.endswith((b"\n\n", b"\r\n\r\n")) and data.count(b"\n") == 2
        if whole and not (self._rest or self._event):  # One event and no more, as nearly always.
            return (self._response(data[5:]),)
        return self._fed(data)

    def _fed(self, data: bytes) -> Iterator[Response]:
        rest = self._rest
        rest += data
        if len(rest) > MOST:
            raise GarbledStream("a response without end")
        end = rest.rfind(b"\n") + 1
        if not end:
            return
        lines = bytes(rest[:end]).split(b"\n")
        del rest[:end]
        yield from self._lines(lines[:-1])

    def end(self) -> Iterator[Response]:
        """What the end of the stream completes. Raises GarbledStream and ErrorInStream."""
        last = bytes(self._rest)
        self._rest.clear()
        yield from self._lines([last, b""])
        if self._bare:
            raise GarbledStream("the stream ended within a response")

    def _lines(self, lines: list[bytes]) -> Iterator[Response]:
        for ended in lines:
            line = ended.rstrip(b"\r")
            if line.startswith(b"data:"):
                self._event.append(line[5:])
            elif line:
                yield from self._bare_line(line)
            elif self._event:
                event, self._event = self._event, []
                yield self._response(b"\n".join(event))

    def _bare_line(self, line: bytes) -> Iterator[Response]:
        """An error may come as bare JSON over several lines: it is complete as soon as it can be read."""
        if line.startswith(b":"):
            return
        self._bare.append(line)
        if sum(map(len, self._bare)) > MOST:
            raise GarbledStream("a response without end")
        try:
            response = self._response(b"\n".join(self._bare))
        except GarbledStream:
            if not self._bare[0].lstrip().startswith((b"{", b"[")):
                raise
            return
        self._bare = []
        yield response

    def _response(self, text: bytes) -> Response:
        try:
            response = _decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise GarbledStream(type(error).__name__) from None
        if response.error is not None:
            raise ErrorInStream(response.error)
        return response
