"""From history to Gemini's contents: Gemini's rules hold for every history, and the budget never splits a turn."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.state.history import PastTurn
from gateway.state.ids import ImageId, image_id
from gateway.state.records import ImageRef, TextRequest, TurnInput
from workers.prompt import (
    IMAGE_GONE,
    Blob,
    Budget,
    Message,
    Prompt,
    build,
    image_tokens,
    text_tokens,
    wanted_images,
)

NOW = datetime(2024, 5, 1, tzinfo=UTC)
AMPLE = Budget(turns=100, tokens=10**9, image_turns=100)


def image(name: str, width: int = 100, height: int = 100) -> ImageRef:
    return ImageRef(image_id(name.encode()), "image/png", width, height, len(name))


def asked(text: str | None, *images: ImageRef, request: TextRequest | None = None) -> TurnInput:
    return TurnInput(text, images, NOW, request)


def turn(text: str | None, answer: str, *images: ImageRef) -> PastTurn:
    return PastTurn(text, images, answer)


def stored(*images: ImageRef) -> dict[ImageId, bytes]:
    return {ref.id: f"bytes of {ref.id}".encode() for ref in images}


def blob(ref: ImageRef) -> Blob:
    return Blob(ref.mime_type, stored(ref)[ref.id])


def user(*parts: str | Blob) -> Message:
    return Message("user", parts)


def model(text: str) -> Message:
    return Message("model", (text,))


CAT, DOG, OWL = image("cat"), image("dog"), image("owl")


class TestConversations:
    def test_a_first_message_stands_alone(self) -> None:
        assert build([], asked("hello"), {}, AMPLE) == Prompt((user("hello"),))

    def test_former_turns_come_first_in_their_order(self) -> None:
        history = [turn("one", "1"), turn("two", "2")]

        assert build(history, asked("three"), {}, AMPLE).messages == (
            user("one"),
            model("1"),
            user("two"),
            model("2"),
            user("three"),
        )

    def test_images_stand_in_the_message_they_came_with(self) -> None:
        history = [turn("what is this?", "a cat", CAT), turn("thanks", "welcome")]

        assert build(history, asked("and these?", DOG, OWL), stored(CAT, DOG, OWL), AMPLE).messages == (
            user(blob(CAT), "what is this?"),
            model("a cat"),
            user("thanks"),
            model("welcome"),
            user(blob(DOG), blob(OWL), "and these?"),
        )

    def test_images_need_no_text(self) -> None:
        history = [turn(None, "a cat", CAT)]

        assert build(history, asked(None, DOG), stored(CAT, DOG), AMPLE).messages == (
            user(blob(CAT)),
            model("a cat"),
            user(blob(DOG)),
        )

    def test_a_turn_that_was_stopped_before_any_text_joins_the_next_message(self) -> None:
        history = [turn("an essay, please", ""), turn("rather a poem", "roses are red")]

        assert build(history, asked("go on"), {}, AMPLE).messages == (
            user("an essay, please", "rather a poem"),
            model("roses are red"),
            user("go on"),
        )

    def test_the_last_turn_without_an_answer_joins_the_new_message(self) -> None:
        assert build([turn("an essay", "", CAT)], asked("a poem"), stored(CAT), AMPLE).messages == (
            user(blob(CAT), "an essay", "a poem"),
        )

    def test_an_input_without_anything_is_refused(self) -> None:
        with pytest.raises(ValueError, match="text or an image"):
            build([turn("one", "1")], asked(""), {}, AMPLE)

    def test_a_text_request_carries_its_mime_type_and_schema(self) -> None:
        request = TextRequest("application/json", {"type": "object"})

        assert build([], asked("in JSON", request=request), {}, AMPLE) == Prompt(
            (user("in JSON"),), "application/json", {"type": "object"}
        )

    def test_what_was_said_is_not_in_a_representation(self) -> None:
        prompt = build([], asked("my secret", CAT), {CAT.id: b"my picture"}, AMPLE)

        assert "my" not in repr(prompt)


class TestAgedImages:
    def test_an_image_whose_bytes_are_gone_leaves_a_note(self) -> None:
        assert build([turn("look", "nice", CAT)], asked("again", DOG), {}, AMPLE).messages == (
            user(IMAGE_GONE, "look"),
            model("nice"),
            user(IMAGE_GONE, "again"),
        )

    def test_only_the_newest_turns_with_images_keep_them(self) -> None:
        history = [turn("a", "1", CAT), turn("b", "2", DOG), turn("no image", "3"), turn("c", "4", OWL)]
        budget = Budget(turns=100, tokens=10**9, image_turns=2)

        prompt = build(history, asked("d", CAT), stored(CAT, DOG, OWL), budget)

        assert [message for message in prompt.messages if message.role == "user"] == [
            user(IMAGE_GONE, "a"),
            user(blob(DOG), "b"),
            user("no image"),
            user(blob(OWL), "c"),
            user(blob(CAT), "d"),
        ]

    def test_images_beyond_what_a_request_may_weigh_leave_notes_from_the_oldest_on(self) -> None:
        history = [turn("a", "1", CAT), turn("b", "2", DOG), turn("c", "3", OWL)]
        weight = CAT.size  # each weighs the same
        new = asked("d", image("eel"))

        assert wanted_images(history, new, replace(AMPLE, image_bytes=4 * weight)) == [
            CAT.id,
            DOG.id,
            OWL.id,
            image("eel").id,
        ]
        assert wanted_images(history, new, replace(AMPLE, image_bytes=4 * weight - 1))[0] == DOG.id
        assert wanted_images(history, new, replace(AMPLE, image_bytes=0)) == [image("eel").id]

    def test_aged_images_are_not_even_read(self) -> None:
        history = [turn("a", "1", CAT), turn("b", "2", DOG, OWL)]

        assert wanted_images(history, asked("c"), Budget(100, 10**9, image_turns=1)) == [DOG.id, OWL.id]
        assert wanted_images(history, asked("c"), Budget(1, 10**9, image_turns=9)) == [DOG.id, OWL.id]
        assert wanted_images(history, asked("c", CAT), Budget(100, 10**9, image_turns=0)) == [CAT.id]

    def test_an_image_shown_twice_is_read_once(self) -> None:
        assert wanted_images([turn("a", "1", CAT)], asked("b", CAT, DOG), AMPLE) == [CAT.id, DOG.id]


class TestBudget:
    def test_no_more_than_so_many_turns_go_along(self) -> None:
        history = [turn(str(n), "answer") for n in range(5)]

        assert _texts(build(history, asked("new"), {}, Budget(2, 10**9, 0))) == ["3", "4", "new"]
        assert _texts(build(history, asked("new"), {}, Budget(0, 10**9, 0))) == ["new"]

    def test_the_oldest_turns_go_first_and_whole(self) -> None:
        history = [turn("x" * 40, "y" * 40), turn("a" * 40, "b" * 40), turn("c" * 40, "d" * 40)]

        assert _texts(build(history, asked("new"), {}, Budget(100, 40, 0))) == ["a" * 40, "c" * 40, "new"]
        assert _texts(build(history, asked("new"), {}, Budget(100, 39, 0))) == ["c" * 40, "new"]

    def test_no_turn_jumps_a_gap(self) -> None:
        history = [turn("old", "small"), turn("x" * 4000, "large"), turn("new", "small")]

        assert _texts(build(history, asked("now"), {}, Budget(100, 100, 0))) == ["new", "now"]

    def test_the_newest_input_is_whole_whatever_its_size(self) -> None:
        text = "x" * 100_000

        assert build([turn("a", "b")], asked(text), {}, Budget(100, 0, 0)).messages == (user(text),)

    def test_an_image_counts_while_it_is_sent_and_hardly_once_it_aged_out(self) -> None:
        history = [turn("a", "b", image("large", 3072, 3072)), turn("c", "d")]

        assert _texts(build(history, asked("e"), {}, Budget(100, 1000, image_turns=1))) == ["c", "e"]
        assert _texts(build(history, asked("e"), {}, Budget(100, 1000, image_turns=0))) == ["a", "c", "e"]


class TestEstimates:
    @pytest.mark.parametrize(
        ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("привет!!", 4), ("漢字漢字", 3), ("😀", 1)]
    )
    def test_text_counts_by_its_bytes(self, text: str, tokens: int) -> None:
        assert text_tokens(text) == tokens

    @pytest.mark.parametrize(
        ("width", "height", "tiles"),
        [(1, 1, 1), (384, 384, 1), (385, 10, 1), (768, 768, 1), (769, 768, 2), (1536, 1536, 4), (3072, 1, 4)],
    )
    def test_images_count_by_their_tiles(self, width: int, height: int, tiles: int) -> None:
        assert image_tokens(image("any", width, height)) == tiles * 258


def _texts(prompt: Prompt) -> list[str]:
    return [
        part
        for message in prompt.messages
        if message.role == "user"
        for part in message.parts
        if isinstance(part, str) and part != IMAGE_GONE
    ]


refs = st.builds(image, st.sampled_from(["cat", "dog", "owl", "eel"]), st.integers(1, 4000), st.integers(1, 4000))
pictures = st.lists(refs, max_size=3, unique_by=lambda ref: ref.id)
texts = st.text(st.characters(codec=None), max_size=30)
inputs = st.one_of(
    st.builds(lambda text, refs: asked(text, *refs), texts.filter(bool), pictures),
    st.builds(lambda refs: asked(None, *refs), pictures.filter(bool)),
)
histories = st.lists(
    st.builds(lambda asked, answer: PastTurn(asked.text, asked.images, answer), inputs, texts), max_size=8
)
budgets = st.builds(Budget, st.integers(0, 9), st.integers(0, 9000), st.integers(0, 9), st.integers(0, 20))


class TestProperties:
    @given(histories, inputs, budgets, st.sets(st.sampled_from(["cat", "dog", "owl", "eel"])))
    def test_gemini_accepts_whatever_is_built(
        self, history: Sequence[PastTurn], new: TurnInput, budget: Budget, there: set[str]
    ) -> None:
        messages = build(history, new, stored(*map(image, there)), budget).messages

        assert [message.role for message in messages] == ["user", "model"] * (len(messages) // 2) + ["user"]
        assert all(message.parts for message in messages)
        assert all(part.content if isinstance(part, Blob) else part for message in messages for part in message.parts)

    @given(histories, inputs, budgets)
    def test_what_is_kept_is_the_newest_turns_whole(
        self, history: Sequence[PastTurn], new: TurnInput, budget: Budget
    ) -> None:
        built = _flat(build(history, new, {}, budget))
        candidates = [_flat(build(history[start:], new, {}, AMPLE)) for start in range(len(history) + 1)]

        assert built in candidates
        assert len(history) - candidates.index(built) <= budget.turns

    @given(histories, inputs, budgets)
    def test_a_larger_budget_never_keeps_less(
        self, history: Sequence[PastTurn], new: TurnInput, budget: Budget
    ) -> None:
        larger = replace(budget, turns=budget.turns + 1, tokens=budget.tokens + 100)

        assert len(_flat(build(history, new, {}, larger))) >= len(_flat(build(history, new, {}, budget)))

    @given(histories, inputs, budgets)
    def test_the_images_asked_for_are_the_images_used(
        self, history: Sequence[PastTurn], new: TurnInput, budget: Budget
    ) -> None:
        wanted = wanted_images(history, new, budget)
        everything = {
            ref.id: ref.id.encode() for refs in [*(turn.images for turn in history), new.images] for ref in refs
        }
        used = {
            ImageId(part.content.decode())
            for message in build(history, new, everything, budget).messages
            for part in message.parts
            if isinstance(part, Blob)
        }

        assert len(wanted) == len(set(wanted))
        assert set(wanted) == used
        assert build(history, new, {ref: everything[ref] for ref in wanted}, budget) == build(
            history, new, everything, budget
        )

    @given(texts, texts)
    def test_the_estimate_of_a_whole_is_never_above_that_of_its_parts(self, one: str, other: str) -> None:
        assert text_tokens(one + other) <= text_tokens(one) + text_tokens(other)


def _flat(prompt: Prompt) -> list[tuple[str, str | Blob]]:
    return [(message.role, part) for message in prompt.messages for part in message.parts]
