"""HTTP/1.1 requests as the stand-in Gemini has to understand them."""

from dataclasses import dataclass

_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    target: bytes
    body: bytes


class Requests:
    """Reads one connection's requests, however their bytes are cut. Bodies have a Content-Length."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Request]:
        self._buffer += data
        found = []
        while (request := self._next()) is not None:
            found.append(request)
        return found

    def _next(self) -> Request | None:
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            return None
        start, _, fields = self._buffer[:end].partition(b"\r\n")
        begin, size = end + len(_HEAD_END), content_length(fields) or 0
        if len(self._buffer) < begin + size:
            return None
        body, self._buffer = self._buffer[begin : begin + size], self._buffer[begin + size :]
        return Request(start.split(b" ")[1], body)


def content_length(fields: bytes) -> int | None:
    """What a head's lines say of it."""
    for line in fields.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return None
