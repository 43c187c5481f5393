"""Commands to Redis as bytes (RESP2), for what must be cheaper than any client library."""

from collections.abc import Iterable
from urllib.parse import urlsplit


def pack(*arguments: str | bytes | memoryview | int) -> bytes:
    parts = [bytes(each) if isinstance(each, bytes | memoryview) else str(each).encode() for each in arguments]
    return b"".join([b"*%d\r\n" % len(parts), *_bulk(parts)])


def _bulk(parts: Iterable[bytes]) -> Iterable[bytes]:
    for part in parts:
        yield b"$%d\r\n%b\r\n" % (len(part), part)


def port_of(url: str) -> int:
    return urlsplit(url).port or 6379
