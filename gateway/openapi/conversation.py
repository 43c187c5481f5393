"""The calls of a session, but for its streams."""

from http import HTTPStatus

from gateway import models, shapes
from gateway.openapi.operation import Answer, Content, Operation, Parameter
from gateway.openapi.streams import NOON, TURN, USAGE, stream_content
from gateway.problems import BadRequest, Draining, NotFound, TooLarge, TooMany, Unsupported, of_state
from gateway.settings import GatewaySettings
from gateway.state import errors
from gateway.state.records import rfc3339

_IMAGE = "0f3c2b1a0f3c2b1a0f3c2b1a0f3c2b1a"
_IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp")
_DONE = Answer("Done", (Content(shapes.Success, example=shapes.Success()),))
_GONE = of_state(errors.SessionGone())
_BUSY = of_state(errors.QueueFull()), of_state(errors.NoWorker())
_NEW_SESSIONS = TooMany("sessions", 60)


def operations(settings: GatewaySettings) -> list[Operation]:
    return [_session(), _delete_session(), _upload(settings), _chat(settings), _stop(), _history(), _clear(), _image()]


def _session() -> Operation:
    state = shapes.SessionState(
        pending=shapes.Pending(message=True, images=1),
        turn=None,
        usage=shapes.Usage(input_tokens=120, output_tokens=48, total_tokens=168),
        model="gemini-2.5-flash",
        offline=False,
        limits=shapes.Limits(
            message_chars=32_000,
            upload_bytes=20_971_520,
            upload_files=8,
            image_pixels=50_000_000,
            session_seconds=604_800,
        ),
    )
    return Operation(
        method="GET",
        path="/session",
        name="showSession",
        tag="conversation",
        summary="What is open here",
        description="A page's first call: it opens a session and sets its cookie where there is none. Two of them at "
        "once would open two.",
        answers=(Answer("The session", (Content(shapes.SessionState, example=state),)),),
        problems=(_NEW_SESSIONS,),
        opens_session=True,
    )


def _delete_session() -> Operation:
    return Operation(
        method="DELETE",
        path="/session",
        name="deleteSession",
        tag="conversation",
        summary="Erase everything",
        description="Ends the running turn, erases all that is stored of the session, and takes the cookie back.",
        answers=(_DONE,),
        opens_session=True,
    )


def _upload(settings: GatewaySettings) -> Operation:
    files = {
        "type": "array",
        "description": "PNG, JPEG, WebP or GIF, one or more",
        "items": {"type": "string", "format": "binary"},
        "minItems": 1,
        "maxItems": settings.upload_max_files,
    }
    form = {"title": "UploadForm", "type": "object", "properties": {"file": files}, "required": ["file"]}
    types = {"encoding": {"file": {"contentType": ", ".join((*_IMAGE_TYPES, "image/gif"))}}}
    stored = shapes.Uploaded(filename="cat.png, dog.jpg")
    return Operation(
        method="POST",
        path="/upload",
        name="upload",
        tag="conversation",
        summary="Pictures for the next message",
        description="All files are accepted, or none; they take the place of those uploaded before. Each is decoded "
        "whole, turned upright, scaled down where it is larger than is of use, and kept without its metadata. Of an "
        f"animation the first frame counts. All together may have {settings.upload_max_bytes} bytes.",
        body=Content(form, "multipart/form-data", more=types),
        answers=(Answer("The files wait for the next message", (Content(shapes.Uploaded, example=stored),)),),
        problems=(
            BadRequest("There is no file; send it as multipart/form-data, in a part named file."),
            TooLarge("cat.png has more than 50000000 pixels."),
            of_state(errors.ImageQuotaExceeded()),
            Unsupported("not_an_image", "cat.svg is not a PNG, JPEG, WebP or GIF image, or it is damaged."),
            _NEW_SESSIONS,
            _GONE,
        ),
        opens_session=True,
    )


def _chat(settings: GatewaySettings) -> Operation:
    return Operation(
        method="POST",
        path="/chat",
        name="say",
        tag="conversation",
        summary="The next message",
        description="It waits until `GET /stream` begins its turn; until then the last message wins. With `Accept: "
        "text/event-stream` the turn begins at once and the answer is its stream; during a running turn that is 409, "
        "and nothing is stored.",
        parameters=(
            Parameter(
                "Idempotency-Key",
                "header",
                "A call that is repeated with the same key means the same turn",
                {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
                "7f3c9a52",
            ),
        ),
        body=Content(models.ChatRequest, example=models.ChatRequest("What is in the picture?")),
        answers=(
            Answer(
                "The message waits; or, to a caller who accepts them, the events of its turn",
                (Content(shapes.Success, example=shapes.Success()), stream_content()),
                ("X-Turn-Id", "X-Accel-Buffering"),
            ),
        ),
        problems=(
            BadRequest("The body does not fit: the message is empty."),
            TooLarge(f"The message is longer than {settings.message_max_chars} characters."),
            of_state(errors.TurnRunning(TURN)),
            _GONE,
            _NEW_SESSIONS,
            TooMany("turns_a_minute", 2),
            TooMany("turns_a_day", 3600),
            TooMany("tokens", 3600),
            *_BUSY,
            Draining(),
        ),
        opens_session=True,
    )


def _stop() -> Operation:
    return Operation(
        method="POST",
        path="/stop",
        name="stop",
        tag="conversation",
        summary="Stop the answer",
        description="Answers when the call to Gemini is closed. What came of the answer stays in the history.",
        body=Content(models.StopRequest, example=models.StopRequest()),
        body_required=False,
        answers=(
            Answer(
                "Whether there was something to stop", (Content(shapes.Stopped, example=shapes.Stopped(stopped=True)),)
            ),
        ),
        problems=(BadRequest("The body is not valid JSON in UTF-8."),),
    )


def _history() -> Operation:
    said = shapes.UserMessage(
        id=f"{TURN}-user",
        text="What is in the picture?",
        images=(shapes.HistoryImage(id=_IMAGE, url=f"/images/{_IMAGE}", mime_type="image/png", width=640, height=480),),
        created_at=rfc3339(NOON),
    )
    answered = shapes.ModelMessage(
        id=f"{TURN}-model",
        text="A cat.",
        stopped=False,
        finish_reason="STOP",
        model="gemini-2.5-flash",
        usage=USAGE,
        created_at=rfc3339(NOON),
    )
    messages = shapes.Conversation(messages=(said, answered))
    return Operation(
        method="GET",
        path="/history",
        name="showHistory",
        tag="conversation",
        summary="What was said",
        description="All turns that have ended with an answer, whole or stopped.",
        answers=(Answer("The conversation", (Content(shapes.Conversation, example=messages),)),),
    )


def _clear() -> Operation:
    return Operation(
        method="DELETE",
        path="/history",
        name="deleteHistory",
        tag="conversation",
        summary="Begin anew",
        description="Ends the running turn, and forgets history, images and what is pending. The session goes on.",
        answers=(_DONE,),
    )


def _image() -> Operation:
    content = {"type": "string", "format": "binary"}
    return Operation(
        method="GET",
        path="/images/{name}",
        name="showImage",
        tag="conversation",
        summary="An uploaded image",
        description="To the session that holds it, and to no other.",
        parameters=(
            Parameter(
                "name",
                "path",
                "The image's id, as `GET /history` tells it",
                {"type": "string", "pattern": "^[0-9a-f]{32}$"},
                _IMAGE,
            ),
        ),
        answers=(
            Answer("The image", tuple(Content(content, kind) for kind in _IMAGE_TYPES), ("ETag", "Vary")),
            Answer(
                "It is the one that `If-None-Match` names", headers=("ETag", "Vary"), status=HTTPStatus.NOT_MODIFIED
            ),
        ),
        problems=(NotFound("There is no such image in this session."),),
    )
