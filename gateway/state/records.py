"""What crosses Redis: frozen records and their one codec.

A record carries a version; a process writes nothing to one of a version to come (``scripts/lib/version.lua``), and
writers keep the former format for one release.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Any, Self

import msgspec

from gateway.state.ids import ClaimToken, Epoch, ImageId, Position, SessionId, TurnId, TurnRef, WorkerId

if TYPE_CHECKING:
    from gateway.state.history import PastTurn


class State(StrEnum):
    """Where a turn is. The last three are its ends; a turn has exactly one."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @classmethod
    def _missing_(cls, _value: object) -> "State":
        """A state of a version to come has not ended, as far as anybody here knows; nothing is written to it anyway."""
        return cls.RUNNING

    @property
    def ended(self) -> bool:
        return self in (State.DONE, State.STOPPED, State.FAILED)


class Kind(StrEnum):
    """What a log entry says. ``START`` is the first attempt's ``<attempt>-0``, ``RESET`` a later one's."""

    START = "start"
    RESET = "reset"
    TEXT = "text"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        return self in (Kind.DONE, Kind.STOPPED, Kind.FAILED)


_HEAD = re.compile(rb"(\d{1,9})-(\d{1,9}) (\d{1,9})-(\d{1,9}) ([a-z]+)\n")
_KINDS = {kind.value.encode(): kind for kind in Kind}


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry of a turn's log.

    ``prev`` is the id of the entry before it, so that a reader sees a gap at once. ``data`` is the raw text of a
    ``TEXT`` entry and JSON of every other, in UTF-8. In Redis an entry is one field, its ``frame``:
    ``<prev> <kind>\\n<data>``; a published message has the id and a space before it.
    """

    id: Position
    prev: Position
    kind: Kind
    data: bytes

    def frame(self) -> bytes:
        return b"%d-%d %s\n%s" % (*self.prev, self.kind.encode(), self.data)

    @classmethod
    def from_stream(cls, entry_id: bytes, fields: dict[bytes, bytes]) -> Self:
        head, _, data = fields[b"f"].partition(b"\n")
        prev, kind = head.decode().split(" ")
        return cls(Position.parse(entry_id.decode()), Position.parse(prev), Kind(kind), data)

    @classmethod
    def from_message(cls, message: bytes) -> Self:
        """Raises ``ValueError`` for what is no entry, or one of a version to come. Runs once for each chunk."""
        head = _HEAD.match(message)
        kind = _KINDS.get(head[5]) if head else None
        if head is None or kind is None:
            raise ValueError(f"not an entry: {message[:60]!r}")
        attempt, seq, before, previous = map(int, head.group(1, 2, 3, 4))
        return cls(Position(attempt, seq), Position(before, previous), kind, message[head.end() :])


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens as Gemini counts them (``usageMetadata``): thinking counts as output."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0

    def encode(self) -> str:
        return f"{self.input_tokens} {self.output_tokens} {self.total_tokens}"

    def as_json(self) -> dict[str, int]:
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "total_tokens": self.total_tokens,
        }


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image as sessions, turns and history name it; its bytes lie in the session's image hash."""

    id: ImageId
    mime_type: str
    width: int
    height: int
    size: int
    """Bytes as stored."""

    @property
    def stored_head(self) -> bytes:
        """What stands before its bytes in Redis."""
        return self.mime_type.encode() + b"\n"

    def encode(self) -> str:
        return f"{self.id}:{self.mime_type}:{self.width}:{self.height}:{self.size}"

    @classmethod
    def decode(cls, text: str) -> Self:
        image, mime, width, height, size = text.split(":")
        return cls(ImageId(image), mime, int(width), int(height), int(size))


def encode_refs(refs: tuple[ImageRef, ...]) -> str:
    return " ".join(ref.encode() for ref in refs)


def decode_refs(text: str) -> tuple[ImageRef, ...]:
    return tuple(ImageRef.decode(part) for part in text.split(" ")) if text else ()


@dataclass(frozen=True, slots=True)
class Image:
    """An accepted image with its bytes."""

    ref: ImageRef
    stored: bytes | memoryview
    """As Redis keeps it: type, newline, bytes. In one piece from the start: putting megabytes together takes long."""

    @classmethod
    def of(cls, ref: ImageRef, content: bytes) -> Self:
        return cls(ref, ref.stored_head + content)

    @property
    def content(self) -> bytes:
        return bytes(self.stored[len(self.ref.stored_head) :])


@dataclass(frozen=True, slots=True)
class Session:
    """A session as one read found it."""

    id: SessionId
    epoch: Epoch
    """A write that names it is refused once the conversation was forgotten; an empty one is for any epoch."""
    pending_message: bool = False
    pending_images: int = 0
    running: TurnId | None = None
    usage: Usage = field(default_factory=Usage)

    @property
    def pending(self) -> bool:
        """A message or an image waits for its turn."""
        return self.pending_message or self.pending_images > 0

    @classmethod
    def unread(cls, sid: SessionId) -> Self:
        """For a write that need not know what it finds, only that there is a session."""
        return cls(sid, Epoch(""))


class TextRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What ``POST /generate_text`` asks beyond its prompt."""

    mime_type: str
    schema: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TurnInput:
    """What the user gave. ``request`` is set for ``/generate_text`` alone, which has no session and no history."""

    text: str | None
    images: tuple[ImageRef, ...]
    created_at: datetime
    request: TextRequest | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to run one attempt of a turn: what every later write of the attempt must name."""

    ref: TurnRef
    token: ClaimToken
    attempt: int
    input: TurnInput
    deadline: datetime
    """When whoever sees the turn ends it as failed; by the server's clock."""
    left: float = field(default=inf, compare=False)
    """Seconds that were left until then."""
    stop: bool = False
    """Somebody asked for the stop before the claim."""
    trace: str = ""
    """W3C ``traceparent`` of the request that began the turn, or empty."""
    history: "list[PastTurn]" = field(default_factory=list, repr=False)
    """The session's newest ended turns, oldest first, as the claim found them; who has read them empties the list."""

    @property
    def start(self) -> Position:
        """The id of the entry that the claim itself wrote."""
        return Position(self.attempt, 0)


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a turn ended, as history keeps it beside the text."""

    finish_reason: str | None = None
    model: str | None = None
    usage: dict[str, int] | None = None
    stopped: bool = False
    offline: bool = False
    """The stand-in model answered."""


@dataclass(frozen=True, slots=True)
class TurnStatus:
    """The part of a turn's record that readers and sweepers look at."""

    state: State
    attempt: int
    last: Position
    owner: ClaimToken | None
    lease: int
    """Raised by every claim."""
    overdue: bool = False
    """The hard deadline has passed by the server's clock."""
    renewed: bool = False
    """It runs at a worker of the former release, which raises ``lease`` instead of beating."""
    left: float = field(default=0.0, compare=False)
    """Seconds until the hard deadline."""


class About(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a worker says of itself with every beat."""

    model: str
    offline: bool
    concurrency: int
    version: str = ""


@dataclass(frozen=True, slots=True)
class Census:
    """The queue and its workers, as one script saw them together."""

    waiting: int
    live: int
    oldest_wait: float
    """Seconds that the oldest waiting turn has waited; 0.0 when none waits."""
    workers: dict[WorkerId, About] = field(default_factory=dict)


def from_ms(text: bytes | str) -> datetime:
    return datetime.fromtimestamp(int(text) / 1000, UTC)


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as every time in a body is written."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
