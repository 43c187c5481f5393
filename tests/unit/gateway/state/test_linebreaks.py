import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.state.linebreaks import LineBreaks


@pytest.mark.parametrize(
    ("chunks", "written"),
    [
        (["a\r", "\nb"], ["a\n", "b"]),
        (["a\r", "b"], ["a\n", "b"]),
        (["\r", "\n"], ["\n", ""]),
        (["\r", "\n", "\n"], ["\n", "", "\n"]),
        (["\r", "", "\n"], ["\n", "", ""]),
        (["\r", "\r\n"], ["\n", "\n"]),
        (["\n\r", "\n\r", "\n"], ["\n\n", "\n", ""]),
    ],
)
def test_a_line_break_between_chunks_is_one_line_break(chunks: list[str], written: list[str]) -> None:
    breaks = LineBreaks()
    assert [breaks.feed(chunk) for chunk in chunks] == written


@settings(deadline=None)
@given(st.lists(st.text(alphabet="\r\nab", max_size=4)))
def test_however_it_is_cut_the_whole_is_the_same(chunks: list[str]) -> None:
    breaks = LineBreaks()
    whole = "".join(chunks).replace("\r\n", "\n").replace("\r", "\n")
    assert "".join(breaks.feed(chunk) for chunk in chunks) == whole
