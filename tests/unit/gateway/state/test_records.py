import string
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.state.ids import Position, image_id
from gateway.state.records import (
    About,
    Entry,
    Image,
    ImageRef,
    Kind,
    Result,
    State,
    TextRequest,
    Usage,
    decode_refs,
    encode_refs,
    from_ms,
    rfc3339,
)

numbers = st.integers(min_value=0, max_value=10**9 - 1)
positions = st.builds(Position, numbers, numbers)
texts = st.text(st.characters(codec="utf-8"))
entries = st.builds(
    Entry, positions, positions, st.sampled_from(Kind), st.one_of(st.binary(), texts.map(lambda text: text.encode()))
)
image_refs = st.builds(
    ImageRef,
    st.binary().map(image_id),
    st.sampled_from(["image/png", "image/jpeg", "image/webp", "image/gif", "image/svg+xml", "image/vnd.ms-photo"]),
    numbers,
    numbers,
    numbers,
)
tokens = st.integers(min_value=0, max_value=10**12)
usages = st.builds(Usage, tokens, tokens, tokens)
optional_texts = st.none() | texts


@given(entries)
def test_an_entry_comes_back_from_the_log(entry: Entry) -> None:
    assert Entry.from_stream(str(entry.id).encode(), {b"f": entry.frame()}) == entry


@given(entries)
def test_an_entry_comes_back_from_its_message(entry: Entry) -> None:
    assert Entry.from_message(f"{entry.id} ".encode() + entry.frame()) == entry


@given(st.lists(image_refs).map(tuple))
def test_image_references_come_back_in_their_order(refs: tuple[ImageRef, ...]) -> None:
    assert decode_refs(encode_refs(refs)) == refs


@given(image_refs, st.binary())
def test_a_stored_image_begins_with_its_type(ref: ImageRef, content: bytes) -> None:
    mime, _, stored = bytes(Image.of(ref, content).stored).partition(b"\n")
    assert (mime.decode(), stored) == (ref.mime_type, content)


@given(usages)
def test_usage_is_three_plain_numbers(usage: Usage) -> None:
    assert [int(part) for part in usage.encode().split(" ")] == list(usage.as_json().values())
    assert set(usage.encode()) <= {*string.digits, " "}


@given(
    st.builds(
        Result,
        optional_texts,
        optional_texts,
        st.none() | usages.map(Usage.as_json),
        st.booleans(),
    )
)
def test_a_result_comes_back_from_history(result: Result) -> None:
    assert msgspec.json.decode(msgspec.json.encode(result), type=Result) == result


@given(st.builds(TextRequest, texts, st.none() | st.dictionaries(texts, st.recursive(texts, st.lists, max_leaves=5))))
def test_a_text_request_comes_back_from_its_turn(request: TextRequest) -> None:
    assert msgspec.json.decode(msgspec.json.encode(request), type=TextRequest) == request


@given(st.builds(About, texts, st.booleans(), st.integers(0, 1000), texts))
def test_what_a_worker_says_of_itself_comes_back(about: About) -> None:
    assert msgspec.json.decode(msgspec.json.encode(about), type=About) == about


def test_what_a_newer_worker_says_beyond_is_left_out() -> None:
    told = b'{"model":"m","offline":false,"concurrency":1,"mood":"good"}'
    assert msgspec.json.decode(told, type=About) == About("m", offline=False, concurrency=1)


def test_the_ends_of_a_turn_are_the_same_words_in_record_and_log() -> None:
    ends = {state.value for state in State if state.ended}
    assert ends == {kind.value for kind in Kind if kind.terminal} == {"done", "stopped", "failed"}


@given(st.integers(min_value=0, max_value=4_000_000_000_000))
def test_times_keep_their_milliseconds(ms: int) -> None:
    moment = from_ms(str(ms).encode())
    assert round(moment.timestamp() * 1000) == ms
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=UTC), "2026-01-02T03:04:05.678Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5, minutes=30))), "2026-01-01T21:34:05.000Z"),
    ],
)
def test_times_are_written_in_utc_with_milliseconds(moment: datetime, written: str) -> None:
    assert rfc3339(moment) == written
