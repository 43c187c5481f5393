"""The tests' own parser, held against the standard's examples and rules (WHATWG HTML, 9.2.5 and 9.2.6)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sse import Event, Parser, parse, text_of


def data(stream: str) -> list[str]:
    return [event.data for event in parse(stream.encode())]


def test_the_standards_first_example() -> None:
    assert data(
        "data: This is the first message.\n\ndata: This is the second message, it\ndata: has two lines.\n\n"
    ) == [
        "This is the first message.",
        "This is the second message, it\nhas two lines.",
    ]


def test_the_standards_example_of_named_events() -> None:
    stream = b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n"
    assert parse(stream) == [Event("add", "73857293", ""), Event("remove", "2153", "")]


def test_the_standards_stock_example() -> None:
    assert data("data: YHOO\ndata: +2\ndata: 10\n\n") == ["YHOO\n+2\n10"]


def test_the_standards_example_of_ids_and_comments() -> None:
    stream = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
    parser = Parser()
    assert parser.feed(stream) == [
        Event("message", "first event", "1"),
        Event("message", "second event", ""),
        Event("message", " third event", ""),
    ]
    assert parser.comments == [" test stream"]


def test_the_standards_example_of_empty_data() -> None:
    assert data("data\n\ndata\ndata\n\ndata:") == ["", "\n"]


def test_one_space_after_the_colon_and_no_more_is_dropped() -> None:
    assert data("data:test\n\ndata: test\n\ndata:  test\n\n") == ["test", "test", " test"]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_each_line_end_ends_a_line(end: str) -> None:
    assert data(end.join(["event: x", "data: a", "data: b", "", ""])) == ["a\nb"]


def test_line_ends_may_be_mixed() -> None:
    assert data("data: a\r\ndata: b\rdata: c\n\r\ndata: d\r\r") == ["a\nb\nc", "d"]


def test_what_other_formats_call_a_line_end_is_text() -> None:
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"
    assert data(f"data: {text}\n\n") == [text]


def test_one_leading_byte_order_mark_is_dropped_and_no_other() -> None:
    assert data("\ufeffdata: a\n\ndata: \ufeffb\n\n") == ["a", "\ufeffb"]
    assert data("\ufeff\ufeffdata: a\n\n") == []
    assert data("\n\ufeffdata: a\n\n") == []


def test_a_byte_order_mark_may_come_byte_by_byte() -> None:
    parser = Parser()
    events = [event for byte in "\ufeffdata: a\n\n".encode() for event in parser.feed(bytes([byte]))]
    assert events == [Event("message", "a", "")]


def test_bytes_that_are_not_utf_8_are_replaced() -> None:
    assert [event.data for event in parse(b"data: a\xffb\n\n")] == ["a\ufffdb"]


def test_fields_are_case_sensitive_and_unknown_ones_ignored() -> None:
    assert data("Data: a\nDATA: b\nfoo: c\n data: d\ndata: e\n\n") == ["e"]


def test_a_field_without_a_colon_has_an_empty_value() -> None:
    assert parse(b"id: 1\nid\nevent: x\nevent\ndata\n\n") == [Event("message", "", "")]


def test_an_id_with_a_nul_is_ignored() -> None:
    assert parse(b"id: 1\nid: 2\0\ndata\n\n") == [Event("message", "", "1")]


def test_an_id_stays_for_the_events_after_it() -> None:
    assert [event.last_event_id for event in parse(b"id: 1\ndata\n\ndata\n\n")] == ["1", "1"]


def test_an_id_without_data_is_remembered_once_its_block_ends() -> None:
    parser = Parser()
    assert parser.feed(b"id: 7\n") == []
    assert parser.last_event_id == ""
    assert parser.feed(b"\n") == []
    assert parser.last_event_id == "7"


def test_an_event_type_does_not_outlive_its_block() -> None:
    assert [event.type for event in parse(b"event: x\n\ndata: a\n\n")] == ["message"]


@pytest.mark.parametrize(
    ("value", "retry"), [("10", 10), ("010", 10), ("", None), ("-1", None), ("1.5", None), ("٣", None)]
)
def test_retry_takes_ascii_digits_alone(value: str, retry: int | None) -> None:
    parser = Parser()
    parser.feed(f"retry: {value}\n".encode())
    assert parser.retry == retry


def test_an_event_that_is_not_ended_by_a_blank_line_is_discarded() -> None:
    assert data("data: a\n\ndata: b\n") == ["a"]
    assert data("data: a\n\ndata: b") == ["a"]


def test_a_comment_ends_no_event() -> None:
    assert data("data: a\n: x\ndata: b\n\n") == ["a\nb"]


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet="\r\n: daté\0\ufeff", max_size=60).map(str.encode), st.data())
def test_it_does_not_matter_how_the_bytes_are_cut(stream: bytes, cuts: st.DataObject) -> None:
    places = sorted(cuts.draw(st.lists(st.integers(0, len(stream)))))
    parser = Parser()
    events = []
    for start, end in zip([0, *places], [*places, len(stream)], strict=True):
        events += parser.feed(stream[start:end])
    assert events == parse(stream)


def test_a_reset_takes_back_the_text() -> None:
    assert text_of(parse(b"data: a\n\nevent: reset\ndata: {}\n\ndata: b\n\nevent: done\ndata: {}\n\n")) == "b"
