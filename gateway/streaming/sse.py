"""The bytes of an event stream (WHATWG HTML, 9.2 "Server-sent events"). Pure: values in, bytes out.

Text goes as unnamed events, so that a page with nothing but ``onmessage`` works; everything else is named by its kind
and has JSON as its data. The id of each event of a turn is ``<turn>:<attempt>-<seq>``: what a browser sends back as
``Last-Event-ID``.
"""

from gateway.state.ids import Position, TurnId, parse_turn_id
from gateway.state.records import Entry, Kind

CONTENT_TYPE = "text/event-stream"

HEARTBEAT = b": keep-alive\n\n"
"""A comment: readers ignore it, proxies see a connection in use."""

EXPIRED_ID = "gone:0-0"
"""The id of ``expired``. A reader who comes back with it is to be told to stop (204)."""

EXPIRED = f"event: expired\nid: {EXPIRED_ID}\ndata: {{}}\n\n".encode()
"""The log that the reader wants to continue is gone for good."""


def event_id(turn: TurnId, position: Position) -> str:
    return f"{turn}:{position}"


def parse_event_id(text: str) -> tuple[TurnId, Position] | None:
    """Reads a ``Last-Event-ID``; None for anything that ``event_id`` did not make, ``EXPIRED_ID`` included."""
    turn_text, _, position_text = text.partition(":")
    turn = parse_turn_id(turn_text)
    if turn is None:
        return None
    try:
        return turn, Position.parse(position_text)
    except ValueError:
        return None


def preamble(turn: TurnId, after: Position, retry_ms: int) -> bytes:
    """The first bytes of every stream: how soon to come back, and the place from which this stream goes on.

    A block without data sets the browser's last event id and dispatches nothing (9.2.6), so a connection that drops
    before its first event resumes this very turn.
    """
    return b"retry: %d\nid: %b\n\n" % (retry_ms, event_id(turn, after).encode())


def come_back(retry_ms: int, last_event_id: str = "") -> bytes:
    """The last bytes before a clean end that is not the end of the turn: reconnect after this long.

    In a stream that never wrote an id, name the one that the reader came with: the blank line sets the browser's last
    event id to the stream's, so without it the reader would forget its place.
    """
    if last_event_id and last_event_id.isprintable():
        return b"id: %b\nretry: %d\n\n" % (last_event_id.encode(), retry_ms)
    return b"retry: %d\n\n" % retry_ms


def encode(turn: TurnId, entry: Entry) -> bytes:
    """One event; no bytes for a ``START`` entry, which readers have no use for.

    Each line of the data goes into a ``data`` field of its own, so the reader's parser joins them with LF again. The
    space after the colon is always written, as parsers drop exactly one: a line's own leading space survives.
    """
    kind = entry.kind
    if kind is Kind.START:
        return b""
    data = entry.data
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\n" in data:
        data = data.replace(b"\n", b"\ndata: ")
    if kind is Kind.TEXT:
        return b"id: %b:%d-%d\ndata: %b\n\n" % (turn.encode(), *entry.id, data)
    return b"event: %b\nid: %b:%d-%d\ndata: %b\n\n" % (kind.encode(), turn.encode(), *entry.id, data)
