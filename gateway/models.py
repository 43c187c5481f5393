"""The JSON bodies that callers send, and how one is read.

Fields that are not known are ignored: frontends of the seed's API may send more than it describes.
"""

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from quart import request

from gateway.guards import body
from gateway.problems import BadRequest, Unsupported


class ChatRequest(msgspec.Struct, frozen=True):
    message: Annotated[str, Meta(min_length=1, description="The text message of the user.")]


class TextPrompt(msgspec.Struct, frozen=True):
    prompt: Annotated[str, Meta(min_length=1, description="What guides the text generation.")]
    response_mime_type: Annotated[str, Meta(description="What the generated text is, e.g. `text/plain`.")] | None = None
    response_schema: Annotated[dict[str, Any], Meta(description="The schema that a JSON answer follows.")] | None = None


class StopRequest(msgspec.Struct, frozen=True):
    turn: Annotated[str, Meta(description="The turn to stop; the running one if left out.")] | None = None


Model = TypeVar("Model", bound=msgspec.Struct)


async def read(kind: type[Model]) -> Model:
    """The request's body as ``kind``. Raises BadRequest, Unsupported, TooLarge, TooSlow."""
    mimetype = request.mimetype
    if mimetype != "application/json" and not mimetype.endswith("+json"):
        raise Unsupported("unsupported_media_type", "Send the body as JSON, with Content-Type: application/json.")
    return parse(await body.read(), kind)


async def read_if_any(kind: type[Model]) -> Model:
    """Like ``read``, but no body at all is an empty object."""
    if not request.content_length and "Transfer-Encoding" not in request.headers:
        return kind()
    return await read(kind)


def parse(content: bytes, kind: type[Model]) -> Model:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"The body does not fit: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest("The body is not valid JSON in UTF-8.") from None
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None
