"""From a conversation to what Gemini is sent: pure functions of records and bytes.

Gemini's rules that show here (https://ai.google.dev/api/generate-content): contents begin and end with the user, the
roles alternate, no message is without parts and no part is empty.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.state.history import PastTurn
from gateway.state.ids import ImageId
from gateway.state.records import ImageRef, TurnInput

IMAGE_GONE = "[An image was here. It is no longer available.]"
"""Stands where an image stood whose bytes are not sent any more."""

_TILE = 768
_TILE_TOKENS = 258
_ONE_TILE = 384


@dataclass(frozen=True, slots=True)
class Blob:
    """Inline bytes, as Gemini's ``inlineData``."""

    mime_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One of Gemini's ``contents``; never without parts, and no part is empty."""

    role: Literal["user", "model"]
    parts: tuple[str | Blob, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One call's contents, roles alternating, the first and the last the user's.

    ``mime_type`` and ``schema`` (JSON Schema) are what the answer must be; for ``/generate_text`` alone.
    """

    messages: tuple[Message, ...]
    mime_type: str | None = None
    schema: dict[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of the past goes along. The newest input is outside of it: that is always sent whole."""

    turns: int
    tokens: int
    """By ``text_tokens`` and ``image_tokens``."""
    image_turns: int
    """The newest turns with images that keep them; older ones have notes."""
    image_bytes: int = 12 * 1024 * 1024
    """Up to here, the new input's images included, former turns keep theirs: Gemini bounds the size of a request."""


_Kept = tuple[PastTurn, bool]
"""A turn that goes along, and whether its images do."""


def wanted_images(history: Sequence[PastTurn], asked: TurnInput, budget: Budget) -> list[ImageId]:
    """The images whose bytes ``build`` uses, each once; those that aged out are not among them."""
    kept = _keep(history, asked, budget) if any(turn.images for turn in history) else []
    wanted = [ref.id for turn, with_images in kept if with_images for ref in turn.images]
    return list(dict.fromkeys([*wanted, *(ref.id for ref in asked.images)]))


def build(history: Sequence[PastTurn], asked: TurnInput, images: Mapping[ImageId, bytes], budget: Budget) -> Prompt:
    """The prompt for ``asked`` after as many whole turns of ``history`` (oldest first) as the budget holds.

    Raises ``ValueError`` for an input with neither text nor images.
    """
    messages: list[Message] = []
    for turn, with_images in _keep(history, asked, budget):
        _say(messages, "user", _user_parts(turn, images if with_images else {}))
        _say(messages, "model", (turn.answer,) if turn.answer else ())
    parts = _user_parts(asked, images)
    if not parts:
        raise ValueError("an input has a text or an image")
    _say(messages, "user", parts)
    request = asked.request
    if request is None:
        return Prompt(tuple(messages))
    return Prompt(tuple(messages), request.mime_type, request.schema)


def text_tokens(text: str) -> int:
    """An estimate: four UTF-8 bytes a token.

    That is Gemini's own rule of thumb (four characters) for English, about half a token for a Cyrillic or Arabic
    letter, and three quarters of one for a Chinese, Japanese or Korean character.
    """
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return -(-size // 4)


def image_tokens(ref: ImageRef) -> int:
    """258 tokens for up to 384 by 384 pixels, else 258 for each tile of 768 by 768.

    https://ai.google.dev/gemini-api/docs/tokens#multimodal-tokens
    """
    if max(ref.width, ref.height) <= _ONE_TILE:
        return _TILE_TOKENS
    return -(-ref.width // _TILE) * -(-ref.height // _TILE) * _TILE_TOKENS


def _keep(history: Sequence[PastTurn], asked: TurnInput, budget: Budget) -> list[_Kept]:
    """The newest turns without a gap that the budget holds, oldest first; never a part of one."""
    kept: list[_Kept] = []
    tokens = 0
    for turn, with_images in _newest_first(history, budget.image_turns, budget.image_bytes - _size(asked)):
        tokens += _cost(turn, with_images)
        if len(kept) == budget.turns or tokens > budget.tokens:
            break
        kept.append((turn, with_images))
    return kept[::-1]


def _newest_first(history: Sequence[PastTurn], image_turns: int, image_bytes: int) -> Iterator[_Kept]:
    """Each turn with whether it keeps its images: from the first that does not fit on, none does."""
    for turn in reversed(history):
        with_images = bool(turn.images)
        if with_images:
            image_turns -= 1
            image_bytes -= _size(turn)
        yield turn, with_images and image_turns >= 0 and image_bytes >= 0


def _size(turn: PastTurn | TurnInput) -> int:
    return sum(ref.size for ref in turn.images)


def _cost(turn: PastTurn, with_images: bool) -> int:
    tokens = text_tokens(turn.text or "") + text_tokens(turn.answer)
    if with_images:
        return tokens + sum(image_tokens(ref) for ref in turn.images)
    return tokens + len(turn.images) * text_tokens(IMAGE_GONE)


def _user_parts(asked: PastTurn | TurnInput, images: Mapping[ImageId, bytes]) -> tuple[str | Blob, ...]:
    """Images first, as Gemini's guide recommends for a question about them, then the text."""
    parts: list[str | Blob] = []
    for ref in asked.images:
        content = images.get(ref.id)
        parts.append(Blob(ref.mime_type, content) if content else IMAGE_GONE)
    if asked.text:
        parts.append(asked.text)
    return tuple(parts)


def _say(messages: list[Message], role: Literal["user", "model"], parts: tuple[str | Blob, ...]) -> None:
    """Appends a message; one without parts is left out, and a second one in the same role joins the first."""
    if not parts:
        return
    if messages and messages[-1].role == role:
        messages[-1] = Message(role, messages[-1].parts + parts)
    else:
        messages.append(Message(role, parts))
