"""What the load client is told to do, and what it answers: one line of JSON each.

All moments are microseconds of ``stamp.now``'s clock, durations in an outcome milliseconds.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from tests.bench.ledger import percentile


class Dialect(StrEnum):
    """What one turn is, in requests. One connection makes them one after the other, and keeps its cookie."""

    GEMINI = "gemini"
    """``streamGenerateContent``, as the worker's own calls."""
    ONE_CALL = "one call"
    """``POST /chat`` answered by the stream itself."""
    TWO_CALLS = "two calls"
    """``POST /chat``, then ``GET /stream``: what a page does."""
    TEXT = "text"
    """``POST /generate_text``."""
    ALIVE = "alive"
    """``GET /``: how long the event loop takes to come to it."""

    @property
    def streams(self) -> bool:
        """A turn's last answer is a stream."""
        return self in (Dialect.GEMINI, Dialect.ONE_CALL, Dialect.TWO_CALLS)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    dialect: Dialect
    ports: tuple[int, ...]
    """Connections take them in turn."""
    message: str
    streams: int
    """Connections, each with one turn at a time."""
    begin: int
    """When the first connection opens."""
    ramp: int = 0
    """The others open evenly spread over this time."""
    turns: int = 1
    """Of each connection; 0: as many as it comes to before ``until``."""
    pause: int = 0
    """Between two turns of a connection."""
    since: int
    until: int
    """What arrives in between is counted."""
    stop: int
    """By then whatever is open is closed and counts as unfinished."""
    process: int = 0
    """Whose waiting for a CPU is left out of ``held``; 0: nobody's."""


class Spread(msgspec.Struct, frozen=True):
    count: int
    p50: float
    p99: float
    longest: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    begun: int
    """Turns whose answer began, at any time; ``since`` and ``until`` bound all the rest."""
    chunks: int
    reads: int
    """Pieces in which they came: several waiting chunks may come at once."""
    latest: int
    """When the last of them arrived."""
    silence: float
    """The longest time without any chunk on any stream."""
    delays: Spread
    """Of chunks, from the moment the stand-in wrote them."""
    firsts: Spread
    """From a turn's first request to its first chunk."""
    turns: Spread
    """From a turn's first request to its end."""
    held: Spread
    """The same, less the time in which the plan's process, or the client, waited for a CPU: whichever waited longer,
    so that none of it is left out twice."""
    failures: dict[str, int]


NEVER = 1e12
"""JSON has no infinity."""


def spread(values: Iterable[float]) -> Spread:
    """In the unit of the values. For what never came one waits for ever."""
    ordered = sorted(values)
    if not ordered:
        return Spread(0, NEVER, NEVER, NEVER)
    return Spread(len(ordered), percentile(ordered, 50), percentile(ordered, 99), ordered[-1])
