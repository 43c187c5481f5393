"""POST /generate_text."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from werkzeug.datastructures import Headers

from gateway.state.ids import Position
from gateway.state.records import Claim, Entry, Kind, Result, TextRequest
from gateway.state.turnlog import Write
from tests.client import Answer
from tests.integration.gateway.edge import Browser, Edge
from tests.servers import RedisServer


async def asked(edge: Edge, *texts: str, **body: Any) -> tuple[Answer, Claim]:
    browser = edge.browser()
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(browser.post("/generate_text", json={"prompt": "Write poetry.", **body}))
        claim = await edge.work(*texts)
    assert not list(browser.client.cookie_jar or ())
    return asking.result(), claim


async def ended(edge: Edge, kind: Kind, data: dict[str, Any]) -> Answer:
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(edge.browser().post("/generate_text", json={"prompt": "p"}))
        claim = await edge.claim()
        entry = Entry(Position(1, 1), Position(1, 0), kind, msgspec.json.encode(data))
        await edge.scene.write(Write(claim.ref, claim.token, entry, None, Result()))
    return asking.result()


async def test_a_prompt_is_answered(edge: Edge) -> None:
    answer, claim = await asked(edge, '{"poem":', '"In hues of dusk"}')
    assert answer.status == 200
    assert answer.body == rb'{"generated_text":"{\"poem\":\"In hues of dusk\"}"}'
    assert claim.input.text == "Write poetry."
    assert claim.input.request == TextRequest("application/json")
    assert answer.headers["x-finish-reason"] == "STOP"


async def test_mime_type_and_schema_reach_the_worker(edge: Edge) -> None:
    schema = {"type": "OBJECT", "properties": {"poem": {"type": "STRING"}}}
    _, claim = await asked(edge, "{}", response_schema=schema)
    assert claim.input.request == TextRequest("application/json", schema)
    _, claim = await asked(edge, "x", response_mime_type="text/plain")
    assert claim.input.request == TextRequest("text/plain")


async def test_the_usual_mime_type_is_a_setting(serve: Callable[..., Any], valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, text_mime_type="text/plain")
    _, claim = await asked(edge, "x")
    assert claim.input.request == TextRequest("text/plain")


async def test_a_new_attempts_text_takes_the_place_of_the_old_ones(edge: Edge) -> None:
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(edge.browser().post("/generate_text", json={"prompt": "p"}))
        claim = await edge.claim()
        await edge.scene.say(claim, 1, "half an ans")
        second = await edge.scene.reattempted(claim)
        await edge.scene.say(second, 1, "whole")
        await edge.scene.end(second, 2)
    assert asking.result().okay == {"generated_text": "whole"}


@pytest.mark.parametrize(
    ("code", "status"),
    [("blocked", 422), ("bad_request", 400), ("rate_limited", 429), ("truncated", 502), ("timeout", 504)],
)
async def test_a_failed_call_is_a_true_error(edge: Edge, code: str, status: int) -> None:
    answer = await ended(edge, Kind.FAILED, {"error": code, "message": "Gemini said no.", "retryable": False})
    answer.refused(status, code)
    assert answer.json["message"] == "Gemini said no."


async def test_an_answer_that_gemini_broke_off_says_so(edge: Edge) -> None:
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(edge.browser().post("/generate_text", json={"prompt": "p"}))
        claim = await edge.claim()
        await edge.scene.say(claim, 1, "as far as it we")
        end = msgspec.json.encode({"finish_reason": "MAX_TOKENS"})
        entry = Entry(Position(1, 2), Position(1, 1), Kind.DONE, end)
        await edge.scene.write(Write(claim.ref, claim.token, entry, None, Result(finish_reason="MAX_TOKENS")))
    answer = asking.result()
    assert answer.okay == {"generated_text": "as far as it we"}
    assert answer.headers["x-finish-reason"] == "MAX_TOKENS"


async def test_no_answer_at_all_is_no_success(edge: Edge) -> None:
    (await ended(edge, Kind.DONE, {"finish_reason": "SAFETY"})).refused(422, "blocked")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "bad_request"),
        ({"prompt": ""}, 400, "bad_request"),
        ({"prompt": "  \n"}, 400, "bad_request"),
        ({"prompt": 7}, 400, "bad_request"),
        ({"prompt": "x" * 11}, 413, "too_large"),
        ({"prompt": "p", "response_mime_type": "json"}, 400, "bad_request"),
        ({"prompt": "p", "response_schema": []}, 400, "bad_request"),
        ({"prompt": "p", "response_schema": {}}, 400, "bad_request"),
        ({"prompt": "p", "response_schema": {"type": "poem"}}, 400, "bad_request"),
        (
            {"prompt": "p", "response_schema": {"type": "string"}, "response_mime_type": "text/plain"},
            400,
            "bad_request",
        ),
    ],
)
async def test_what_cannot_be_asked_is_refused_before_it_is_sent(
    serve: Callable[..., Any], valkey: RedisServer, body: dict[str, Any], status: int, code: str
) -> None:
    edge: Edge = await serve(valkey, prompt_max_chars=10)
    (await edge.browser().post("/generate_text", json=body)).refused(status, code)
    assert await edge.scene.live() == set()


async def test_without_a_worker_it_is_refused(serve: Callable[..., Any], valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, worker=False)
    answer = await edge.browser().post("/generate_text", json={"prompt": "p"})
    answer.refused(503, "no_worker")
    assert "retry-after" in answer.headers


async def hung_up(browser: Browser, edge: Edge) -> Claim:
    """A caller who goes while the worker is at it."""
    headers = Headers({"Content-Type": "application/json"})
    connection = browser.client.request("/generate_text", method="POST", headers=headers)
    async with connection:
        await connection.send(b'{"prompt":"p"}')
        await connection.send_complete()
        claim = await edge.claim()
        await edge.scene.say(claim, 1, "half")
        await connection.disconnect()
    return claim


async def test_a_caller_who_hangs_up_has_the_turn_stopped(edge: Edge) -> None:
    claim = await hung_up(edge.browser(), edge)
    assert await edge.scene.turns.check([claim]) == ["STOP"]


async def test_a_caller_who_hangs_up_before_a_worker_is_found_leaves_nothing_waiting(edge: Edge) -> None:
    headers = Headers({"Content-Type": "application/json"})
    connection = edge.browser().client.request("/generate_text", method="POST", headers=headers)
    async with connection:
        await connection.send(b'{"prompt":"p"}')
        await connection.send_complete()
        while not await edge.scene.live():
            await asyncio.sleep(0.01)
        await connection.disconnect()
    assert await edge.scene.live() == set()


async def test_a_caller_who_hangs_up_at_any_moment_leaves_nothing_behind(edge: Edge) -> None:
    for steps in range(0, 60, 3):
        headers = Headers({"Content-Type": "application/json"})
        connection = edge.browser().client.request("/generate_text", method="POST", headers=headers)
        async with connection:
            await connection.send(b'{"prompt":"p"}')
            await connection.send_complete()
            for _ in range(steps):
                await asyncio.sleep(0)
            await connection.disconnect()
    assert await edge.scene.live() == set()
