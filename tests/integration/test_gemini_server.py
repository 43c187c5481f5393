"""The stand-in as a process of its own, told and asked over HTTP, and what it refuses as Gemini does."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.gemini_server import GeminiControl, Script, expected_answer, expected_words
from tests.processes import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Standin:
    """The process, a client of its control API, and a plain client of its Gemini API."""

    def __init__(self, url: str, control: GeminiControl, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.control = control
        self.http = http

    async def ask(self, text: str, method: str = "streamGenerateContent?alt=sse", **config: Any) -> tuple[int, str]:
        body = {"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": config}
        url = f"{self.url}/v1beta/models/gemini-2.5-flash:{method}"
        async with self.http.post(url, json=body, headers={"x-goog-api-key": "any"}) as response:
            return response.status, await response.text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process() -> AsyncIterator[Standin]:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.gemini_server", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert program.stdout is not None
    where = json.loads(await program.stdout.readline())
    async with GeminiControl(where["control_url"]) as control, aiohttp.ClientSession() as http:
        yield Standin(where["url"], control, http)
    program.terminate()
    assert await program.wait() == 0


@pytest_asyncio.fixture(loop_scope="module")
async def gemini(process: Standin) -> Standin:
    await process.control.listen()
    await process.control.clear()
    return process


def events(body: str) -> list[dict[str, Any]]:
    return [json.loads(block.removeprefix("data: ")) for block in body.split("\r\n\r\n") if block]


def text_of(answers: list[dict[str, Any]]) -> str:
    parts = (part for answer in answers for part in answer["candidates"][0]["content"]["parts"])
    return "".join(part["text"] for part in parts if not part.get("thought"))


async def test_a_stream_has_geminis_shape(gemini: Standin) -> None:
    status, body = await gemini.ask("hello [[chunks=3 thoughts=1]]")
    answers = events(body)

    assert status == 200
    assert len(answers) == 4
    assert text_of(answers) == expected_answer("hello [[chunks=3 thoughts=1]]")
    assert [answer["candidates"][0].get("finishReason") for answer in answers] == [None, None, None, "STOP"]
    assert answers[-1]["usageMetadata"]["thoughtsTokenCount"] == 6


async def test_an_answer_in_one_piece_has_the_same_words(gemini: Standin) -> None:
    _, body = await gemini.ask("hello", "generateContent")

    assert text_of([json.loads(body)]).split() == expected_words("hello")


async def test_json_is_asked_for_as_of_gemini(gemini: Standin) -> None:
    _, body = await gemini.ask("hello", responseMimeType="application/json")

    assert json.loads(text_of(events(body))) == {"answer": expected_answer("hello")}


async def test_words_tell_prompts_apart_and_calls_too_where_asked(gemini: Standin) -> None:
    once = text_of(events((await gemini.ask("hello [[unique]]"))[1]))
    again = text_of(events((await gemini.ask("hello [[unique]]"))[1]))

    assert once != again
    assert not set(expected_words("one")) & set(expected_words("other"))


async def test_a_queued_script_is_for_the_calls_it_fits(gemini: Standin) -> None:
    await gemini.control.script(Script(status=503, retry_after="4"), match="weather", times=2)

    assert [(await gemini.ask(text))[0] for text in ("hello", "weather 1", "weather 2", "weather 3")] == [
        200,
        503,
        503,
        200,
    ]


async def test_trouble_may_strike_the_first_calls_alone(gemini: Standin) -> None:
    assert [(await gemini.ask("hello [[status=503 times=2]]"))[0] for _ in range(3)] == [503, 503, 200]


async def test_calls_are_remembered_with_their_bodies(gemini: Standin) -> None:
    await gemini.ask("hello [[chunks=2]]")
    (call,) = await gemini.control.calls(bodies=True)

    assert (call.text, call.model, call.chunks, call.ended) == ("hello [[chunks=2]]", "gemini-2.5-flash", 2, "whole")
    assert call.body is not None
    assert call.body["contents"][0]["parts"] == [{"text": "hello [[chunks=2]]"}]


async def test_a_held_call_goes_on_when_it_is_released(gemini: Standin) -> None:
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(gemini.ask("hello [[hold=2]]"))
        calls = await gemini.control.wait_for(lambda calls: bool(calls) and calls[0].held)
        assert calls[0].chunks == 2
        await gemini.control.release()

    assert text_of(events(asking.result()[1])) == expected_answer("hello [[hold=2]]")


async def test_a_client_that_goes_away_is_noticed(gemini: Standin) -> None:
    asking = asyncio.create_task(gemini.ask("hello [[hold=2]]"))
    await gemini.control.wait_for(lambda calls: bool(calls) and calls[0].held)
    asking.cancel()

    calls = await gemini.control.wait_for(lambda calls: calls[0].ended == "disconnected")
    assert calls[0].ended_at is not None


async def test_connections_are_refused_until_it_listens_again(gemini: Standin) -> None:
    await gemini.control.refuse()
    with pytest.raises(aiohttp.ClientConnectionError):
        await gemini.ask("hello")
    await gemini.control.listen()

    assert (await gemini.ask("hello"))[0] == 200


async def test_a_misspelt_order_and_a_misspelt_directive_are_told(gemini: Standin) -> None:
    with pytest.raises(ValueError, match="times"):
        await gemini.control.script(Script(), times="often")  # type: ignore[arg-type]
    status, body = await gemini.ask("hello [[hodl=3]]")

    assert status == 400
    assert "hodl" in body
