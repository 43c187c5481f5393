"""POST /generate_text from the caller to Gemini and back."""

import asyncio
import json
from typing import Any

import pytest

from tests.client import User, prompt
from tests.cluster import Cluster, Gemini
from tests.gemini_server import Script, expected_answer
from tests.gemini_server.script import SECRET_DETAIL
from tests.tcp import connection, post

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]


async def _config(gemini: Gemini, asked: str) -> dict[str, Any]:
    [call] = [call for call in await gemini.calls(bodies=True) if asked in call.text]
    assert call.body is not None
    config: dict[str, Any] = call.body.get("generationConfig", {})
    return config


async def test_json_is_asked_for_unless_the_caller_says_otherwise(user: User, gemini: Gemini) -> None:
    asked = prompt("plain")
    assert (await user.generate_text(asked)).okay == {"generated_text": expected_answer(asked, json=True)}
    assert (await _config(gemini, asked))["responseMimeType"] == "application/json"

    asked = prompt("text")
    answer = await user.generate_text(asked, response_mime_type="text/plain")
    assert answer.okay == {"generated_text": expected_answer(asked)}
    assert (await _config(gemini, asked))["responseMimeType"] == "text/plain"


async def test_a_schema_reaches_gemini(user: User, gemini: Gemini) -> None:
    schema = {"type": "object", "properties": {"poem": {"type": "string"}}, "required": ["poem"]}
    asked = prompt("with a schema")
    assert (await user.generate_text(asked, response_schema=schema)).status == 200
    config = await _config(gemini, asked)
    sent = config.get("responseJsonSchema", config.get("responseSchema"))
    assert json.loads(json.dumps(sent).lower()) == schema


async def test_it_knows_no_conversation_and_leaves_none(user: User, gemini: Gemini) -> None:
    said = prompt("in the conversation")
    await user.ask(said)
    asked = prompt("aside")
    await user.generate_text(asked)
    [call] = await gemini.calls_about(asked)
    assert call.messages == [("user", [asked])]
    assert await user.conversation() == [("user", said), ("model", expected_answer(said))]


@pytest.mark.parametrize(
    ("directives", "status", "code"),
    [
        ("status=400", 400, "bad_request"),
        ("status=400 reason=API_KEY_INVALID", 502, "unauthorized"),
        ("status=403", 502, "unauthorized"),
        ("status=404", 502, "not_found"),
        ("status=429", 429, "rate_limited"),
        ("status=503", 502, "unavailable"),
        ("block=SAFETY", 422, "blocked"),
        ("fault=end", 502, "empty"),
        ("fault=close at=3", 502, "unavailable"),
        ("fault=end at=3", 502, "truncated"),
        ("fault=json at=3", 502, "garbled"),
    ],
)
async def test_a_failed_call_has_a_true_status(
    user: User, gemini: Gemini, directives: str, status: int, code: str
) -> None:
    answer = await user.generate_text(prompt("failing", directives))
    answer.refused(status, code)
    assert SECRET_DETAIL not in answer.body.decode()


async def test_a_call_that_is_retried_in_the_background_succeeds(user: User, gemini: Gemini) -> None:
    asked = prompt("second try", "status=503 times=1")
    assert (await user.generate_text(asked)).okay["generated_text"] == expected_answer(asked, json=True)
    assert len(await gemini.calls_about(asked)) == 2


async def test_text_of_an_attempt_that_broke_is_not_in_the_answer(user: User, gemini: Gemini) -> None:
    asked = prompt("breaks once", "fault=reset at=3 times=1 unique")
    answer = (await user.generate_text(asked, response_mime_type="text/plain")).okay["generated_text"]
    second = (await gemini.calls_about(asked))[1]
    assert len(answer.split()) == 8
    assert all(f"@{second.id}" in word for word in answer.split())


@pytest.mark.parametrize("chunks", [0, 3], ids=["before the first chunk", "in mid-answer"])
async def test_a_caller_who_hangs_up_has_the_call_cancelled(cluster: Cluster, gemini: Gemini, chunks: int) -> None:
    asked = prompt("unwanted", f"hold={chunks}")
    gateway = cluster.gateways[0]
    async with connection(gateway.host, gateway.port) as (_, writer):
        writer.write(post("/generate_text", {"prompt": asked}))
        call = await gemini.call_about(asked, held=True)
    assert (await gemini.ended(call)).ended == "disconnected"
    assert len(await gemini.calls_about(asked)) == 1


async def test_many_callers_get_their_own_answers(cluster: Cluster, user: User, gemini: Gemini) -> None:
    prompts = [prompt(f"number {number}") for number in range(30)]
    await gemini.script(Script(delay=0.01), match="number 7 ")
    answers = await asyncio.gather(*(user.generate_text(asked) for asked in prompts))
    assert [answer.okay["generated_text"] for answer in answers] == [
        expected_answer(asked, json=True) for asked in prompts
    ]
