"""The JSON bodies of answers, and the data of a stream's named events: what is sent and what the API document says.

A field that may be ``UNSET`` is left out where its value is not known. Clients must bear fields that are new to them.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Yes = Annotated[bool, Meta(extra_json_schema={"const": True})]
No = Annotated[bool, Meta(extra_json_schema={"const": False})]
Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
Time = Annotated[str, Meta(description="RFC 3339, in UTC", extra_json_schema={"format": "date-time"})]
Turn = Annotated[str, Meta(description="A turn's id", pattern="^[0-9a-f]{24}$")]
ImageName = Annotated[str, Meta(description="An image's id: it names the content", pattern="^[0-9a-f]{32}$")]
Code = Annotated[str, Meta(description="What went wrong, for programs", pattern="^[a-z_]+$")]
FinishReason = Annotated[
    str, Meta(description="Gemini's word for why the answer ended", examples=["STOP", "MAX_TOKENS"])
]
Sentence = Annotated[str, Meta(description="What went wrong, as a sentence for people", min_length=1)]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The process lives."""

    status: Literal["healthy"] = "healthy"
    message: Literal["Gemini API backend running"] = "Gemini API backend running"


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """Turns on their way, over all replicas."""

    waiting: Annotated[Count, Meta(description="Turns that wait for a worker")]
    live: Annotated[Count, Meta(description="Turns that have not ended, those included")]
    oldest_wait_seconds: Annotated[Seconds, Meta(description="How long the oldest of them has waited")]


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether this replica should be sent requests, and whether they could be answered."""

    status: Literal["ready", "starting", "draining"]
    redis: Annotated[bool, Meta(description="Redis answers")]
    workers: Annotated[Count, Meta(description="Workers alive")] | UnsetType = UNSET
    queue: QueueState | UnsetType = UNSET


class Success(msgspec.Struct, frozen=True, kw_only=True):
    """It is done."""

    success: Yes = True


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """What POST /stop did."""

    success: Yes = True
    stopped: Annotated[bool, Meta(description="Whether a running turn was ended by this call")]


class Uploaded(msgspec.Struct, frozen=True, kw_only=True):
    """The files wait for the next message."""

    success: Yes = True
    message: Literal["File uploaded successfully and added to the conversation"] = (
        "File uploaded successfully and added to the conversation"
    )
    filename: Annotated[str, Meta(description="The names of the accepted files, joined by commas")]


class Generated(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one prompt."""

    generated_text: Annotated[str, Meta(description="The text: by default it is JSON itself")]


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """Every error's body; the status says the same to machines."""

    success: No = False
    error: Code
    message: Sentence


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens as Gemini counts them; thinking counts as output."""

    input_tokens: Count
    output_tokens: Count
    total_tokens: Count


class TurnUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one turn, as Gemini counts them; empty where it did not say."""

    input_tokens: Count | UnsetType = UNSET
    output_tokens: Count | UnsetType = UNSET
    total_tokens: Count | UnsetType = UNSET


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """What the next turn will answer."""

    message: Annotated[bool, Meta(description="A message waits")]
    images: Annotated[Count, Meta(description="Images that wait")]


class RunningTurn(msgspec.Struct, frozen=True, kw_only=True):
    """The turn that has not ended."""

    id: Turn
    state: Literal["queued", "running"]
    attempt: Annotated[Count, Meta(description="Runs of it so far")]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a page may want to know before it asks."""

    message_chars: Annotated[int, Meta(description="Longest message")]
    upload_bytes: Annotated[int, Meta(description="Largest upload, all its files together")]
    upload_files: Annotated[int, Meta(description="Most files in one upload")]
    image_pixels: Annotated[int, Meta(description="Most pixels of an image")]
    session_seconds: Annotated[int, Meta(description="An idle session is forgotten after so long")]


class SessionState(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller has open here."""

    pending: Pending
    turn: RunningTurn | None
    usage: Annotated[Usage, Meta(description="Of all the session's turns")]
    model: Annotated[str, Meta(description="The model that answers; left out while no worker lives")] | UnsetType = (
        UNSET
    )
    offline: Annotated[bool, Meta(description="The offline stand-in model answers, not Gemini")]
    limits: Limits


class HistoryImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image as a message shows it."""

    id: ImageName
    url: Annotated[str, Meta(description="Where its bytes are, for this session only", examples=["/images/0f3c…"])]
    mime_type: Annotated[str, Meta(description="`image/png`, `image/jpeg` or `image/webp`", pattern="^image/")]
    width: Annotated[int, Meta(ge=1)]
    height: Annotated[int, Meta(ge=1)]


class UserMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="role", tag="user"):
    """What the user said and showed."""

    id: str
    text: Annotated[str, Meta(description="Empty where images alone were sent")]
    images: tuple[HistoryImage, ...]
    created_at: Time


class ModelMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="role", tag="model"):
    """What Gemini answered, as far as it came."""

    id: str
    text: str
    stopped: Annotated[bool, Meta(description="The user stopped it")]
    finish_reason: FinishReason | UnsetType = UNSET
    model: str | UnsetType = UNSET
    offline: Annotated[bool, Meta(description="The offline stand-in model answered")] | UnsetType = UNSET
    usage: TurnUsage | UnsetType = UNSET
    created_at: Time


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """The messages, oldest first."""

    messages: tuple[UserMessage | ModelMessage, ...]


class ResetEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A new attempt begins: the text so far is void."""

    attempt: Annotated[int, Meta(ge=2)]
    reason: Code


class DoneEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The answer is whole."""

    finish_reason: FinishReason
    model: str
    usage: TurnUsage
    offline: Annotated[bool, Meta(description="The offline stand-in model answered")] | UnsetType = UNSET


class StoppedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The answer was stopped; what came of it stays."""

    usage: TurnUsage


class FailedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """There is no answer. Message and images are pending again."""

    error: Code
    message: Sentence
    retryable: Annotated[bool, Meta(description="The same message may succeed later")]


class ExpiredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The answer that was to be resumed is gone."""
