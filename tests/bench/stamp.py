"""When a chunk was written, told by its own text.

CLOCK_MONOTONIC is one clock for all processes of a machine, so whoever receives a chunk knows how long it travelled.
"""

import re
import time

TEXT_BYTES = 40
"""Of every chunk's text: about what Gemini sends at once when it is fast."""

_SIZE = 17
_MARK = re.compile(rb"~(\d{16})")
FILLER = b" and then the rain sang "[: TEXT_BYTES - _SIZE]


def now() -> int:
    """Microseconds of the clock that all processes share."""
    return time.monotonic_ns() // 1000


def text(moment: int) -> bytes:
    """A chunk's text: plain ASCII that neither JSON nor an event stream has to escape."""
    return b"~%016d%b" % (moment, FILLER)


class Stamps:
    """Finds stamps in a stream of bytes, wherever that is cut, and whatever framing lies around them."""

    __slots__ = ("_cut",)

    def __init__(self) -> None:
        self._cut = b""

    def feed(self, data: bytes) -> list[int]:
        if self._cut:
            data = self._cut + data
        begun = data.rfind(b"~", max(0, len(data) - _SIZE + 1))
        self._cut = data[begun:] if begun >= 0 else b""
        return [int(mark) for mark in _MARK.findall(data)]
