import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.state.ids import (
    START,
    Position,
    SessionId,
    SessionToken,
    TurnId,
    TurnRef,
    idempotency_digest,
    image_id,
    new_claim_token,
    new_epoch,
    new_token,
    new_turn_id,
    new_worker_id,
    one_off_session_id,
    parse_image_id,
    parse_token,
    parse_turn_id,
    session_id,
    worker_of,
)

numbers = st.integers(min_value=0, max_value=10**9 - 1)
positions = st.builds(Position, numbers, numbers)


@given(positions)
def test_a_position_comes_back_from_its_text(position: Position) -> None:
    assert Position.parse(str(position)) == position


@given(positions, positions)
def test_positions_compare_in_the_order_of_the_log(one: Position, other: Position) -> None:
    assert (one < other) == ((one.attempt, one.seq) < (other.attempt, other.seq))


@given(positions)
def test_nothing_fits_between_a_position_and_the_following(position: Position) -> None:
    assert position.following == Position(position.attempt, position.seq + 1)
    assert START <= position < position.following < Position(position.attempt + 1, 0)


@given(st.text())
def test_whatever_parses_as_a_position_is_written_the_one_way(text: str) -> None:
    try:
        position = Position.parse(text)
    except ValueError:
        return
    assert str(position) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "1", "1-", "-1", "1-2-3", "1--2", "-1-2", "1-x", "a-b", "1_0-2", "gone:0-0"),
        *(" 1-2", "1-2 ", "1-2\n", "1 -2", "+1-2", "01-2", "1-02", "1.0-2", "0x1-2", "1-2\0", "*", "$", "1-*"),
        *("1000000000-0", "0-1000000000", "\N{ARABIC-INDIC DIGIT ONE}-2", "\N{SUPERSCRIPT TWO}-1", "9" * 5000 + "-1"),
    ],
)
def test_anything_else_is_no_position_and_not_repeated_at_length(text: str) -> None:
    with pytest.raises(ValueError, match="not a position") as error:
        Position.parse(text)
    assert len(str(error.value)) < 250


@given(st.builds(TurnRef, st.builds(session_id, st.builds(new_token)), st.builds(new_turn_id)))
def test_a_turns_reference_comes_back_from_its_text(ref: TurnRef) -> None:
    assert TurnRef.parse(str(ref)) == ref


def test_the_reference_of_a_turn_without_a_session_comes_back_from_its_text() -> None:
    ref = TurnRef(one_off_session_id(), new_turn_id())
    assert TurnRef.parse(str(ref)) == ref


def test_ids_made_here_have_their_own_form() -> None:
    token, turn, image = new_token(), new_turn_id(), image_id(b"content")
    assert parse_token(token) == token
    assert parse_turn_id(turn) == turn
    assert parse_image_id(image) == image


@pytest.mark.parametrize(
    "text", ["", "x" * 42, "x" * 44, "x" * 42 + "=", "x" * 42 + "\n", "\N{LATIN SMALL LETTER E WITH ACUTE}" * 43]
)
def test_what_has_not_a_tokens_form_is_none(text: str) -> None:
    assert parse_token(text) is None


@pytest.mark.parametrize(
    "text", ["", "a" * 23, "a" * 25, "A" * 24, "g" * 24, "a" * 24 + "\n", "../" * 8, "}" + "a" * 23]
)
def test_what_has_not_a_turn_ids_form_is_none(text: str) -> None:
    assert parse_turn_id(text) is None


@pytest.mark.parametrize(
    "text", ["", "a" * 31, "a" * 33, "A" * 32, "g" * 32, "a" * 32 + "\n", "\N{FULLWIDTH DIGIT ONE}" * 32]
)
def test_what_has_not_an_image_ids_form_is_none(text: str) -> None:
    assert parse_image_id(text) is None


def test_no_two_are_alike() -> None:
    for make in (new_token, new_turn_id, new_worker_id, new_epoch, one_off_session_id):
        assert len({make() for _ in range(100)}) == 100


def test_a_token_has_256_bits_and_its_session_id_tells_none_of_them() -> None:
    token = new_token()
    assert len(token) == 43
    assert session_id(token) == session_id(SessionToken(str(token)))
    assert not any(token[i : i + 8] in session_id(token) for i in range(36))


def test_the_same_content_has_the_same_image_id() -> None:
    assert image_id(b"a") == image_id(b"a") != image_id(b"b")


def test_a_claim_token_names_its_worker_and_no_two_claims_share_one() -> None:
    worker = new_worker_id()
    tokens = {new_claim_token(worker) for _ in range(100)}
    assert len(tokens) == 100
    assert {worker_of(token) for token in tokens} == {worker}


@given(st.text(min_size=1))
def test_of_an_idempotency_key_only_a_digest_without_spaces_is_kept(key: str) -> None:
    assert len(idempotency_digest(key)) == 32
    assert idempotency_digest(key).isalnum()


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_idempotency_key_has_no_digest(nothing: str | None) -> None:
    assert idempotency_digest(nothing) == ""


def test_a_session_id_with_a_colon_would_still_part_from_its_turn() -> None:
    ref = TurnRef(SessionId("a:b"), TurnId("c" * 24))
    assert TurnRef.parse(str(ref)) == ref
