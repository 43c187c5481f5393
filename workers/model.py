"""What the rest of the worker knows of a model: a prompt in; an answer, or one kind of error, out.

``workers.gemini`` and ``workers.offline`` implement it.
"""

from enum import StrEnum
from typing import Protocol

import msgspec

from gateway.state.records import Usage
from workers.prompt import Prompt


class End(msgspec.Struct, frozen=True):
    """How an answer came to its own end."""

    finish_reason: str
    """Gemini's name for it: STOP, MAX_TOKENS, SAFETY, ..."""
    usage: Usage | None = None
    """Of the whole call, where it is known."""
    model: str | None = None
    """The model that answered, as it calls itself, where it is known."""


class Sink(Protocol):
    """Where an answer goes, piece by piece, in the step in which it comes."""

    @property
    def full(self) -> bool:
        """Nothing more is to be put before there is ``room``. What comes in the same step may be put all the same."""

    def put(self, text: str, usage: Usage | None) -> None:
        """The next piece; ``usage`` is cumulative for the call (never to be added up), None where nothing new is known.

        Raises ``GenerationError`` where the answer is not to go on.
        """

    async def room(self) -> None:
        """Returns once it is not ``full`` any more."""


class Fault(StrEnum):
    """Why a call failed. The values are the ``error`` codes that readers see."""

    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    GARBLED = "garbled"
    BLOCKED = "blocked"
    BAD_REQUEST = "bad_request"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    TOO_LONG = "too_long"

    @property
    def transient(self) -> bool:
        """Another try of the same call may help."""
        return self in _TRANSIENT


_TRANSIENT = frozenset(
    {Fault.RATE_LIMITED, Fault.UNAVAILABLE, Fault.TIMEOUT, Fault.TRUNCATED, Fault.EMPTY, Fault.GARBLED}
)

_SENTENCES = {
    Fault.RATE_LIMITED: "Gemini is receiving too many requests right now. Please try again in a moment.",
    Fault.UNAVAILABLE: "Gemini cannot be reached right now. Please try again in a moment.",
    Fault.TIMEOUT: "Gemini took too long to answer. Please try again.",
    Fault.TRUNCATED: "Gemini's answer broke off before its end. Please try again.",
    Fault.EMPTY: "Gemini sent no answer. Please try again.",
    Fault.GARBLED: "Gemini's answer could not be read. Please try again.",
    Fault.BLOCKED: "Gemini refused to answer this message.",
    Fault.BAD_REQUEST: "Gemini could not accept this request.",
    Fault.UNAUTHORIZED: "This service is not allowed to use Gemini as it is set up. That is not your fault; its "
    "operator has to check the API key.",
    Fault.NOT_FOUND: "Gemini does not know the model that this service is set up with. That is not your fault; its "
    "operator has to check the model's name.",
    Fault.TOO_LONG: "The answer grew longer than this service allows.",
}


class GenerationError(Exception):
    """A call that did not come to its own end.

    ``message`` is a sentence for end users: it never holds an upstream body, a key or an address. ``detail`` is one
    line for the operator's log, without any secret and not for users. ``retry_after`` is how many seconds Gemini asked
    to wait, where it did.
    """

    def __init__(self, code: Fault, *, message: str = "", retry_after: float | None = None, detail: str = "") -> None:
        self.code = code
        self.message = message or _SENTENCES[code]
        self.retry_after = retry_after
        self.detail = detail
        super().__init__(f"{code}: {self.message}")

    @property
    def transient(self) -> bool:
        """Another try may help, now or later: by the worker itself, then by the user."""
        return self.code.transient

    @property
    def retryable(self) -> bool:
        """What the user is told: the same message can succeed later without anything else changing."""
        return self.transient


class Model(Protocol):
    """Something that answers prompts. One instance serves all turns of a worker at once."""

    async def generate(self, prompt: Prompt, model: str, sink: Sink) -> End:
        """Puts the answer into ``sink`` as it comes. Raises ``GenerationError`` where it does not come to its own end,
        and what ``sink`` raises.

        The upstream call is closed when this returns, however it does: at the answer's end, by an error, or cancelled.
        """
        ...

    async def aclose(self) -> None:
        """Gives back connections. No ``generate`` may be running."""
        ...
