"""The offline stand-in model: deterministic, honest about itself, and of use to whoever builds a frontend."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sink import Heard, Piece
from workers.model import End
from workers.offline import OfflineModel, pieces
from workers.prompt import Blob, Message, Prompt

MODEL = "gemini-2.5-flash"


class Pauses:
    """Stands in for sleep and remembers how long it should have been."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def read(prompt: Prompt, pauses: Pauses | None = None, delay: float = 0.02) -> tuple[list[Piece], End]:
    model, heard = OfflineModel(delay, sleep=pauses or Pauses()), Heard()
    end = await model.generate(prompt, MODEL, heard)
    await model.aclose()
    return heard.pieces, end


async def answer(prompt: Prompt) -> str:
    pieces, _ = await read(prompt)
    return "".join(text for text, _ in pieces)


def said(*parts: str | Blob, mime_type: str | None = None, schema: dict[str, Any] | None = None) -> Prompt:
    return Prompt((Message("user", parts),), mime_type, schema)


async def test_its_first_words_say_what_it_is() -> None:
    text = await answer(said("hello"))

    assert text.startswith("**Offline stand-in model.**")
    assert "GOOGLE_API_KEY" in text


async def test_it_repeats_the_message_and_counts_the_images() -> None:
    text = await answer(said(Blob("image/png", b"1"), Blob("image/png", b"2"), "first line\nsecond line"))

    assert "> first line\n> second line\n" in text
    assert "images with this message: 2" in text


async def test_it_shows_a_code_block() -> None:
    assert (await answer(said("hello"))).count("```") == 2


async def test_images_alone_are_answered_too() -> None:
    assert "You wrote nothing." in await answer(said(Blob("image/png", b"1")))


async def test_a_very_long_message_is_quoted_in_part() -> None:
    assert len(await answer(said("x" * 100_000))) < 5000


async def test_the_same_prompt_gets_the_same_answer() -> None:
    assert await read(said("hello")) == await read(said("hello"))
    assert await answer(said("hello")) != await answer(said("good bye"))


async def test_it_comes_in_many_small_chunks_each_after_a_pause() -> None:
    pauses = Pauses()
    chunks, _ = await read(said("hello"), pauses, delay=0.5)

    assert len(chunks) > 20
    assert max(len(text) for text, _ in chunks) < 30
    assert pauses.seconds == [0.5] * len(chunks)


async def test_it_ends_and_counts_as_gemini_does() -> None:
    chunks, end = await read(said("a message of some length"))
    usages = [usage for _, usage in chunks if usage is not None]

    assert (end.finish_reason, end.usage) == ("STOP", usages[-1])
    assert len(usages) == len(chunks)
    assert [usage.output_tokens for usage in usages] == sorted(usage.output_tokens for usage in usages)
    assert all(usage.total_tokens == usage.input_tokens + usage.output_tokens for usage in usages)
    assert usages[-1].input_tokens == 6


async def test_json_is_answered_with_json() -> None:
    document = json.loads(await answer(said("Who are you?", mime_type="application/json")))

    assert document["offline"] is True
    assert document["prompt"] == "Who are you?"


async def test_a_schema_is_answered_with_what_it_allows() -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 18}},
        "required": ["name", "age"],
    }
    document = json.loads(await answer(said("hello", mime_type="application/json", schema=schema)))

    jsonschema.validate(document, schema)


async def test_an_enum_is_answered_with_one_of_its_values_bare() -> None:
    schema = {"type": "string", "enum": ["yes", "no"]}

    assert await answer(said("hello", mime_type="text/x.enum", schema=schema)) == "yes"


@pytest.mark.parametrize("text", ["", " ", "\n\n", "word", "  two words ", "a\r\nb", "x" * 100, "漢字" * 20])
def test_the_pieces_of_these_texts_are_the_texts_again(text: str) -> None:
    assert "".join(pieces(text)) == text


@given(st.text())
def test_the_pieces_of_any_text_are_the_text_again(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert all(pieces(text))
