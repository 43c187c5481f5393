"""The JSON bodies that callers send, and how one is read.

Fields that are not known are ignored: frontends of the seed's API may send more than it describes.
"""

import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from quart import request

from gateway.guards import body
from gateway.problems import BadRequest, Unsupported

_MEDIA_TYPE = re.compile("[a-z]+/[a-z0-9.+-]{1,60}")

# What a pattern says to programs, ``__post_init__`` says in a sentence.
Text = Annotated[str, Meta(extra_json_schema={"pattern": r"\S"})]
MediaType = Annotated[str, Meta(extra_json_schema={"pattern": f"^{_MEDIA_TYPE.pattern}$"})]


class ChatRequest(msgspec.Struct, frozen=True):
    """What the user says."""

    message: Annotated[Text, Meta(description="The text message of the user")]

    def __post_init__(self) -> None:
        _said(self.message, "message")


class TextPrompt(msgspec.Struct, frozen=True):
    """What is to be generated."""

    prompt: Annotated[Text, Meta(description="What guides the text generation")]
    response_mime_type: Annotated[MediaType, Meta(description="What the text is, e.g. `text/plain`")] | None = None
    response_schema: (
        Annotated[dict[str, Any], Meta(extra_json_schema={"$ref": "#/components/schemas/ResponseSchema"})] | None
    ) = None

    def __post_init__(self) -> None:
        _said(self.prompt, "prompt")
        if self.response_mime_type is not None and not _MEDIA_TYPE.fullmatch(self.response_mime_type):
            raise ValueError("response_mime_type is no media type such as application/json or text/plain")


class StopRequest(msgspec.Struct, frozen=True):
    """Which turn to stop."""

    turn: (
        Annotated[str, Meta(description="The turn to stop; the running one if left out", pattern="^[0-9a-f]{24}$")]
        | None
    ) = None


def _said(text: str, field: str) -> None:
    if not text.strip():
        raise ValueError(f"the {field} is empty")


Model = TypeVar("Model", bound=msgspec.Struct)


async def read(kind: type[Model]) -> Model:
    """The request's body as ``kind``. Raises BadRequest, Unsupported, TooLarge, TooSlow."""
    return _parse_as_json(await body.read(), kind)


async def read_if_any(kind: type[Model]) -> Model:
    """Like ``read``, but no body at all is an empty object."""
    content = await body.read()
    return _parse_as_json(content, kind) if content else kind()


def _parse_as_json(content: bytes, kind: type[Model]) -> Model:
    mimetype = request.mimetype
    if mimetype != "application/json" and not mimetype.endswith("+json"):
        raise Unsupported("unsupported_media_type", "Send the body as JSON, with Content-Type: application/json.")
    return parse(content, kind)


def parse(content: bytes, kind: type[Model]) -> Model:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"The body does not fit: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest("The body is not valid JSON in UTF-8.") from None
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None
