"""Chunks carry their time through any framing, cut anywhere."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.bench import stamp
from tests.bench.stamp import Stamps

moments = st.lists(st.integers(0, 10**16 - 1), max_size=8)


def pieces(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, *(place % (len(data) + 1) for place in places), len(data)})
    return [data[start:end] for start, end in pairwise(edges)]


@given(moments, st.lists(st.integers(0, 1000)))
def test_every_stamp_is_found_once_wherever_the_stream_is_cut(times: list[int], places: list[int]) -> None:
    data = b"".join(b"28\r\ndata: %b\n\n\r\n" % stamp.text(moment) for moment in times)
    stamps = Stamps()
    assert [found for piece in pieces(data, places) for found in stamps.feed(piece)] == times


def test_a_chunk_is_as_long_as_it_says_and_needs_no_escape() -> None:
    text = stamp.text(stamp.now())
    assert len(text) == stamp.TEXT_BYTES
    assert text.isascii()
    assert not set(text) & set(b'"\\\r\n')


def test_the_clock_does_not_go_back() -> None:
    assert stamp.now() <= stamp.now()
