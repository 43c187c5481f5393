"""The identifiers that cross process boundaries, and how each is made.

Every id is a ``NewType`` so that a key function cannot be handed the wrong one.
"""

import hashlib
import re
import secrets
from typing import NamedTuple, NewType, Self

SessionToken = NewType("SessionToken", str)
"""The secret in the cookie: 256 random bits, URL-safe base64 without padding (43 characters)."""

SessionId = NewType("SessionId", str)
"""Names a session's keys. A digest of the token, so that no key, log or metric can be turned back into a cookie."""

TurnId = NewType("TurnId", str)
"""Names one turn: 96 random bits, 24 lower-case hex digits."""

WorkerId = NewType("WorkerId", str)
"""Names one worker process for its lifetime."""

ClaimToken = NewType("ClaimToken", str)
"""Names one claim of one turn: ``<worker id>/<nonce>``. The owner field of a turn's record."""

ImageId = NewType("ImageId", str)
"""Names an image inside its session: a digest of the stored bytes (32 hex digits)."""

Epoch = NewType("Epoch", str)
"""A session's generation. Deleting changes it, and writes that name an older one do nothing."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_TURN = re.compile(r"[0-9a-f]{24}")
_IMAGE = re.compile(r"[0-9a-f]{32}")
_POSITION = re.compile(r"(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,8})")


def new_token() -> SessionToken:
    return SessionToken(secrets.token_urlsafe(32))


def parse_token(text: str) -> SessionToken | None:
    """The token if ``text`` has a token's form; whether it is known is Redis's to say."""
    return SessionToken(text) if _TOKEN.fullmatch(text) else None


def session_id(token: SessionToken) -> SessionId:
    return SessionId(hashlib.sha256(token.encode()).hexdigest()[:32])


def one_off_session_id() -> SessionId:
    """Scopes the keys of a turn that belongs to no session (``POST /generate_text``)."""
    return SessionId("text-" + secrets.token_hex(12))


def new_turn_id() -> TurnId:
    return TurnId(secrets.token_hex(12))


def parse_turn_id(text: str) -> TurnId | None:
    return TurnId(text) if _TURN.fullmatch(text) else None


def new_worker_id() -> WorkerId:
    return WorkerId(secrets.token_hex(8))


def new_claim_token(worker: WorkerId) -> ClaimToken:
    return ClaimToken(f"{worker}/{secrets.token_hex(6)}")


def worker_of(owner: ClaimToken) -> WorkerId:
    return WorkerId(owner.partition("/")[0])


def new_epoch() -> Epoch:
    return Epoch(secrets.token_hex(8))


def image_id(content: bytes) -> ImageId:
    return ImageId(hashlib.sha256(content).hexdigest()[:32])


def parse_image_id(text: str) -> ImageId | None:
    return ImageId(text) if _IMAGE.fullmatch(text) else None


def idempotency_digest(key: str | None) -> str:
    """What is kept of an ``Idempotency-Key``: enough to know it again; empty for none."""
    return hashlib.sha256(key.encode()).hexdigest()[:32] if key else ""


class Position(NamedTuple):
    """A place in a turn's log: the id of its latest entry already seen. Compares in log order."""

    attempt: int
    seq: int

    def __str__(self) -> str:
        return f"{self.attempt}-{self.seq}"

    @property
    def following(self) -> "Position":
        """The next id of the same attempt: where a read that leaves out this one begins."""
        return Position(self.attempt, self.seq + 1)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ``ValueError`` for anything but two canonical numbers below 10**9."""
        match = _POSITION.fullmatch(text)
        if match is None:
            raise ValueError(f"not a position: {text[:40]!r}")
        return cls(int(match[1]), int(match[2]))


START = Position(0, 0)
"""Before every entry: a reader who has seen nothing."""


class TurnRef(NamedTuple):
    """Names a turn together with the session whose slot holds it: what queue and index entries carry."""

    session: SessionId
    turn: TurnId

    def __str__(self) -> str:
        return f"{self.session}:{self.turn}"

    @classmethod
    def parse(cls, text: str) -> Self:
        session, _, turn = text.rpartition(":")
        return cls(SessionId(session), TurnId(turn))
