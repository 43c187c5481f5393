"""An answer as it comes: GET /stream, and what its events are."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec

from gateway import shapes
from gateway.openapi.operation import Answer, Content, Operation, Parameter
from gateway.problems import Draining, TooMany, of_state
from gateway.state import errors
from gateway.state.ids import START, Position, TurnId
from gateway.state.records import Entry, Kind
from gateway.streaming import sse

TURN = TurnId("0123456789abcdef01234567")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
USAGE = shapes.TurnUsage(input_tokens=12, output_tokens=7, total_tokens=19)

EVENTS: dict[str, tuple[type[msgspec.Struct] | None, str]] = {
    "message": (None, "A piece of the text, raw: unnamed, so that `onmessage` alone is enough."),
    "reset": (shapes.ResetEvent, "A new attempt begins: discard the text so far."),
    "done": (shapes.DoneEvent, "The end: the answer is whole."),
    "stopped": (shapes.StoppedEvent, "The end: it was stopped, and what came of it stays in the history."),
    "failed": (shapes.FailedEvent, "The end: there is no answer. Message and images are pending again."),
    "expired": (shapes.ExpiredEvent, "What was to be resumed is gone; the next try is answered 204."),
}
"""By their names in the stream."""

_BODY = (
    "One event of the stream, field by field. The stream's first block sets `retry` and an `id`, every event but "
    "`expired` has an `id` of the form `<turn>:<attempt>-<seq>`, and comments keep a silent connection open. Sent back "
    "as `Last-Event-ID`, an id resumes after that event. One of `done`, `stopped` and `failed` ends every turn, then "
    "the stream closes. A stream that closes without one, or brings nothing but `retry`, is to be asked for again "
    "after so many milliseconds."
)
_RULES = (
    "In this order:\n\n"
    "1. With a `Last-Event-ID` it goes on with that turn after that event, and never begins one. At the turn's end it "
    "is 204, which tells EventSource to stop; where nothing is known of it, one event `expired`.\n"
    "2. A running turn is followed from its beginning.\n"
    "3. For a message or images that are pending a turn begins, once, whoever asks first; not with `begin=0`.\n"
    "4. Otherwise 409.\n\n"
    "EventSource gives up for good on any status but 200. So what passes (503) is answered with 200 and a `retry` to a "
    "caller with `Accept: text/event-stream`."
)


def _event(name: str, kind: type[msgspec.Struct] | None, description: str) -> dict[str, Any]:
    data: dict[str, Any] = {"type": "string"}
    if kind is not None:
        schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
        data |= {"contentMediaType": "application/json", "contentSchema": schema}
    event: dict[str, Any] = {"const": name}
    if name == "message":
        event["description"] = "As EventSource calls what has no name in the stream"
    return {
        "title": name,
        "description": description,
        "type": "object",
        "properties": {"event": event, "id": {"type": "string"}, "data": data, "retry": {"type": "integer"}},
        "required": ["event", "id", "data"],
    }


def stream_event() -> dict[str, Any]:
    """The schema ``StreamEvent``: before 3.2 OpenAPI has no word for a stream but the schema of one item."""
    return {"description": _BODY, "anyOf": [_event(name, *told) for name, told in EVENTS.items()]}


def _sent() -> str:
    """A whole stream."""
    end = shapes.DoneEvent(finish_reason="STOP", model="gemini-2.5-flash", usage=USAGE)
    entries = [
        Entry(Position(1, 1), Position(1, 0), Kind.TEXT, b"Good "),
        Entry(Position(1, 2), Position(1, 1), Kind.TEXT, b"morning!"),
        Entry(Position(1, 3), Position(1, 2), Kind.DONE, msgspec.json.encode(end)),
    ]
    written = [sse.preamble(TURN, START, 1000), *(sse.encode(TURN, entry) for entry in entries)]
    return b"".join(written).decode()


def stream_content() -> Content:
    """The body of a followed turn; ``x-stream`` shows it as it is sent."""
    event = {"event": "message", "id": f"{TURN}:1-1", "data": "Good "}
    return Content({"$ref": "#/components/schemas/StreamEvent"}, sse.CONTENT_TYPE, event, {"x-stream": _sent()})


EVENT_DATA = tuple(kind for kind, _ in EVENTS.values() if kind is not None)


def operations() -> list[Operation]:
    position = f"{TURN}:1-2"
    return [
        Operation(
            method="GET",
            path="/stream",
            name="followTurn",
            tag="conversation",
            summary="Follow the answer, and begin its turn",
            description=_RULES,
            parameters=(
                Parameter(
                    "Last-Event-ID",
                    "header",
                    "The last event that was seen; EventSource sends it by itself",
                    {"type": "string"},
                    position,
                ),
                Parameter(
                    "last_event_id", "query", "The same for those who cannot set a header", {"type": "string"}, position
                ),
                Parameter(
                    "begin", "query", "With `0` nothing begins: for a page that reloads", {"type": "string"}, "0"
                ),
            ),
            answers=(
                Answer("The events of a turn", (stream_content(),), ("X-Turn-Id", "X-Accel-Buffering")),
                Answer("The turn has ended, and nothing follows that event", status=HTTPStatus.NO_CONTENT),
            ),
            problems=(
                of_state(errors.NothingPending()),
                of_state(errors.SessionGone()),
                TooMany("turns_a_minute", 2),
                TooMany("turns_a_day", 3600),
                TooMany("tokens", 3600),
                of_state(errors.QueueFull()),
                of_state(errors.NoWorker()),
                Draining(),
            ),
        ),
    ]
