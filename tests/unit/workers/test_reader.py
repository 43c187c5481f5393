"""The reader of Gemini's stream: the same responses whatever the cuts; garbage is told, and costs nothing before it."""

import json
from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.reader import ErrorInStream, GarbledStream, Response, ResponseReader


def said(text: str) -> dict[str, object]:
    return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}]}


def texts(responses: list[Response]) -> list[str]:
    return [
        part.text or ""
        for response in responses
        for candidate in response.candidates or []
        for part in (candidate.content and candidate.content.parts) or []
    ]


def read(*pieces: bytes) -> list[Response]:
    reader = ResponseReader()
    return [response for piece in pieces for response in reader.feed(piece)] + list(reader.end())


@given(
    parts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=5),
    newline=st.sampled_from(["\n", "\r\n"]),
    cuts=st.lists(st.integers(0, 2000), max_size=10),
)
def test_bytes_may_be_cut_anywhere(parts: list[str], newline: str, cuts: list[int]) -> None:
    stream = "".join(f"data: {json.dumps(said(part), ensure_ascii=False)}{newline}{newline}" for part in parts).encode()
    edges = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    assert texts(read(*(stream[a:b] for a, b in pairwise(edges)))) == parts


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_an_event_may_come_alone_or_with_others_or_in_several_lines(newline: str) -> None:
    def event(*lines: str) -> bytes:
        return "".join(f"data: {line}{newline}" for line in (*lines, ""))[: -len(f"data: {newline}")].encode() + (
            newline.encode()
        )

    one, two = json.dumps(said("one")), json.dumps(said("two"))
    apart = event(*json.dumps(said("three"), indent=1).split("\n"))
    whole = event(one), event(two), apart
    assert texts(read(*whole)) == texts(read(b"".join(whole))) == ["one", "two", "three"]
    assert texts(read(whole[0][:7], whole[0][7:] + whole[1], whole[2])) == ["one", "two", "three"]


def test_the_last_response_needs_no_blank_line() -> None:
    assert texts(read(b"data: " + json.dumps(said("end")).encode())) == ["end"]


def test_a_bare_error_over_several_lines_is_read() -> None:
    with pytest.raises(ErrorInStream) as raised:
        read(json.dumps({"error": {"code": 429, "message": "slow {down}"}}, indent=2).encode())
    assert raised.value.error == {"code": 429, "message": "slow {down}"}


def test_an_error_in_a_response_s_place_is_told_after_what_came_before_it() -> None:
    reader = ResponseReader()
    stream = b"data: %b\n\ndata: %b\n\n" % (json.dumps(said("fine")).encode(), b'{"error": {"status": "ABORTED"}}')
    responses = iter(reader.feed(stream))
    assert texts([next(responses)]) == ["fine"]
    with pytest.raises(ErrorInStream, match="ABORTED"):
        next(responses)


@pytest.mark.parametrize("garbage", [b"<html>", b"data: {nope}\n\n", b'data: {"candidates": 7}\n\n', b"\xff\xfe\n"])
def test_garbage_is_told_after_what_came_before_it(garbage: bytes) -> None:
    reader = ResponseReader()
    stream = b"data: " + json.dumps(said("fine")).encode() + b"\n\n" + garbage
    responses = chain(reader.feed(stream), reader.end())
    assert texts([next(responses)]) == ["fine"]
    with pytest.raises(GarbledStream):
        next(responses)


def test_a_stream_that_ends_within_a_bare_error_is_garbled() -> None:
    with pytest.raises(GarbledStream):
        read(b'{"error": {\n')


def test_comments_and_fields_that_nobody_needs_are_passed_over() -> None:
    [response] = read(
        b': hello\ndata: {"modelVersion": "x", "responseId": "y", "usageMetadata": {"totalTokenCount": 3}}\n\n'
    )
    assert response.usage_metadata is not None
    assert response.usage_metadata.total_token_count == 3
