"""What a line of the log keeps of an upstream's words."""

import pytest

from workers.quote import unquoted

TEXT = "My diary of the third of May:\n  I have told nobody of this."


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("400 INVALID_ARGUMENT no such thing", "400 INVALID_ARGUMENT no such thing"),
        ("400 cannot read 'I have told nobody of this.'", "400 cannot read '[quoted]'"),
        ("400 at 'third of May: I have told' near 'nobody of this'", "400 at '[quoted]' near '[quoted]'"),
        ("My diary of the third of May", "[quoted]"),
        ("the diary", "the diary"),
        ("", ""),
    ],
)
def test_what_the_user_wrote_is_left_out(line: str, kept: str) -> None:
    assert unquoted(line, TEXT) == kept


def test_a_short_message_hides_nothing() -> None:
    assert unquoted("503 UNAVAILABLE overloaded", "overloaded") == "503 UNAVAILABLE overloaded"
