"""Whatever a model writes, cut wherever it may be, a strict reader gets whole."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.state.ids import START, Position, TurnId, new_turn_id
from gateway.state.linebreaks import LineBreaks
from gateway.state.records import Entry, Kind
from gateway.streaming import sse
from tests.sse import Event, Parser, parse, text_of

TURN = TurnId("0123456789abcdef01234567")

# Line breaks, what the format gives a meaning to, and what other formats take for a line break.
awkward = st.sampled_from(["\r", "\n", "\r\n", " ", ":", "data:", "id: x", "\0", "\ufeff", "\u2028", "\x85", "é", "😀"])
texts = st.lists(awkward | st.text(max_size=5), max_size=20).map("".join)


def normalised(text: str) -> str:
    """As WHATWG's "normalize newlines" does it."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def entry(data: str, seq: int = 1, kind: Kind = Kind.TEXT) -> Entry:
    return Entry(Position(1, seq), Position(1, seq - 1), kind, data.encode())


@settings(deadline=None)
@given(texts, st.lists(st.integers(0, 200)), st.lists(st.integers(0, 2000)))
def test_any_text_cut_anywhere_comes_back_whole(text: str, chunks: list[int], reads: list[int]) -> None:
    breaks = LineBreaks()
    written = [piece for chunk in cut(text, chunks) if (piece := breaks.feed(chunk))]
    stream = sse.preamble(TURN, START, 1000)
    stream += b"".join(sse.encode(TURN, entry(piece, seq)) for seq, piece in enumerate(written, 1))

    parser, events = Parser(), []
    for start, end in zip([0, *sorted(reads)], [*sorted(reads), len(stream)], strict=True):
        events += parser.feed(stream[start:end])

    assert text_of(events) == normalised(text)
    assert [event.last_event_id for event in events] == [f"{TURN}:1-{seq}" for seq in range(1, len(written) + 1)]


@settings(deadline=None)
@given(texts)
def test_an_entry_with_foreign_line_breaks_comes_back_normalised(text: str) -> None:
    assert [event.data for event in parse(sse.encode(TURN, entry(text)))] == [normalised(text)]


@pytest.mark.parametrize("text", ["\n", "\n\n", " ", "  two", "", "a\n", "\na", "a\n\n b", ":", ": c", "data: x"])
def test_lines_and_leading_spaces_survive(text: str) -> None:
    assert parse(sse.encode(TURN, entry(text))) == [Event("message", text, f"{TURN}:1-1")]


@pytest.mark.parametrize("kind", [Kind.RESET, Kind.DONE, Kind.STOPPED, Kind.FAILED])
def test_everything_but_text_is_named_and_one_line_of_json(kind: Kind) -> None:
    encoded = sse.encode(TURN, entry('{"message":"a\\nb"}', 7, kind))
    assert encoded.count(b"\ndata: ") == 1
    [event] = parse(encoded)
    assert (event.type, json.loads(event.data), event.last_event_id) == (kind, {"message": "a\nb"}, f"{TURN}:1-7")


def test_the_start_of_a_turn_is_not_for_readers() -> None:
    assert sse.encode(TURN, Entry(Position(1, 0), START, Kind.START, b"{}")) == b""


def test_the_first_block_names_the_place_and_dispatches_nothing() -> None:
    parser = Parser()
    assert parser.feed(sse.preamble(TURN, Position(2, 7), 1500)) == []
    assert (parser.last_event_id, parser.retry) == (f"{TURN}:2-7", 1500)


def test_heartbeats_and_the_word_to_come_back_change_no_readers_place() -> None:
    parser = Parser()
    parser.feed(sse.encode(TURN, entry("x", 3)))
    assert parser.feed(sse.HEARTBEAT + sse.come_back(700)) == []
    assert (parser.last_event_id, parser.retry) == (f"{TURN}:1-3", 700)


def test_a_stream_with_only_the_word_to_come_back_keeps_the_place_that_the_reader_came_with() -> None:
    parser = Parser()
    assert parser.feed(sse.come_back(700, f"{TURN}:1-3")) == []
    assert (parser.last_event_id, parser.retry) == (f"{TURN}:1-3", 700)


@settings(deadline=None)
@given(st.text())
def test_no_reader_can_slip_a_field_into_the_word_to_come_back(last_event_id: str) -> None:
    parser = Parser()
    assert parser.feed(sse.come_back(700, last_event_id)) == []
    assert (parser.retry, parser.blocks) == (700, 1)


def test_an_expired_log_is_told_with_an_id_of_its_own() -> None:
    assert parse(sse.EXPIRED) == [Event("expired", "{}", sse.EXPIRED_ID)]


@settings(deadline=None)
@given(st.integers(0, 10**9 - 1), st.integers(0, 10**9 - 1))
def test_an_id_sent_back_is_understood(attempt: int, seq: int) -> None:
    turn, position = new_turn_id(), Position(attempt, seq)
    assert sse.parse_event_id(sse.event_id(turn, position)) == (turn, position)


@pytest.mark.parametrize(
    "text",
    ["", sse.EXPIRED_ID, TURN, f"{TURN}:", f"{TURN}:1", f"{TURN}:1-", f"{TURN}:01-1", f"{TURN}:1-1 ", f"X{TURN}:1-1"],
)
def test_an_id_of_another_making_is_none(text: str) -> None:
    assert sse.parse_event_id(text) is None


@settings(deadline=None)
@given(st.text())
def test_no_id_is_too_strange_to_be_read(text: str) -> None:
    found = sse.parse_event_id(text)
    assert found is None or sse.event_id(*found) == text
