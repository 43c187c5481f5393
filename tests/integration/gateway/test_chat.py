"""POST /chat: message, and message with stream."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.state.records import Kind
from tests.integration.gateway.edge import EVENTS, Edge
from tests.servers import RedisServer
from tests.sse import parse, text_of


async def test_a_message_is_taken(edge: Edge) -> None:
    answer = await edge.browser().post("/chat", json={"message": "hello"})
    assert answer.body == b'{"success":true}'
    assert answer.headers["content-type"] == "application/json"


async def test_the_last_message_wins(edge: Edge) -> None:
    browser = edge.browser()
    await browser.chat("first")
    await browser.chat("second")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(browser.read())
        claim = await edge.work("answer")
    assert claim.input.text == "second"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad_request"),
        (b"{", 400, "bad_request"),
        (b"{}", 400, "bad_request"),
        (b'{"message":""}', 400, "bad_request"),
        (b'{"message":" \\n\\t"}', 400, "bad_request"),
        (b'{"message":7}', 400, "bad_request"),
        (b'{"message":"12345678901"}', 413, "too_large"),
        (b'{"message":"' + b"x" * 5000 + b'"}', 413, "too_large"),
    ],
)
async def test_a_message_that_cannot_be_sent_is_refused(
    serve: Callable[..., Any], valkey: RedisServer, body: bytes, status: int, code: str
) -> None:
    edge: Edge = await serve(valkey, message_max_chars=10)
    answer = await edge.browser().post("/chat", data=body, headers={"Content-Type": "application/json"})
    answer.refused(status, code)
    assert "set-cookie" not in answer.headers


async def test_the_longest_message_fits_however_it_is_written(serve: Callable[..., Any], valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, message_max_chars=1000)
    body = b'{"message":"' + rb"\ud83d\ude00" * 1000 + b'"}'
    answer = await edge.browser().post("/chat", data=body, headers={"Content-Type": "application/json"})
    assert answer.okay == {"success": True}


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_that_is_not_json_is_refused(edge: Edge, kind: str) -> None:
    answer = await edge.browser().post("/chat", data=b'{"message":"hi"}', headers={"Content-Type": kind})
    answer.refused(415, "unsupported_media_type")


async def test_without_a_worker_a_message_is_not_taken(serve: Callable[..., Any], valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, worker=False)
    browser = edge.browser()
    answer = await browser.post("/chat", json={"message": "hello"})
    answer.refused(503, "no_worker")
    assert int(answer.headers["retry-after"]) > 0
    assert (await browser.get("/session")).okay["pending"] == {"message": False, "images": 0}


async def test_when_the_queue_is_full_a_message_is_not_taken(serve: Callable[..., Any], valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, queue_limit=1)
    await edge.scene.begun()
    answer = await edge.browser().post("/chat", json={"message": "hello"})
    answer.refused(503, "queue_full")
    assert int(answer.headers["retry-after"]) > 0


async def test_when_the_queue_is_full_no_session_is_opened_for_a_message(
    serve: Callable[..., Any], valkey: RedisServer
) -> None:
    edge: Edge = await serve(valkey, queue_limit=1)
    await edge.scene.begun()
    answer = await edge.browser().post("/chat", json={"message": "hello"}, headers=EVENTS)
    assert answer.status == 200
    assert parse(answer.body) == []
    assert "set-cookie" not in answer.headers


async def test_message_turn_and_stream_in_one_call(edge: Edge) -> None:
    browser = edge.browser()
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(browser.post("/chat", json={"message": "hello"}, headers=EVENTS))
        claim = await edge.work("good ", "day")
    answer = asked.result()
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-turn-id"] == claim.ref.turn
    assert "no-store" in answer.headers["cache-control"]
    events = parse(answer.body)
    assert text_of(events) == "good day"
    assert events[-1].type == "done"
    assert claim.input.text == "hello"
    assert [message["text"] for message in (await browser.get("/history")).okay["messages"]] == ["hello", "good day"]


async def test_during_a_running_turn_the_one_call_stores_nothing(edge: Edge) -> None:
    browser = edge.browser()
    await browser.chat("first")
    async with browser.stream() as stream:
        claim = await edge.claim()
        await edge.scene.say(claim, 1, "running")
        await stream.until("message")
        answer = await browser.post("/chat", json={"message": "second"}, headers=EVENTS)
        answer.refused(409, "turn_running")
        assert answer.headers["x-turn-id"] == claim.ref.turn
        assert (await browser.get("/session")).okay["pending"]["message"] is False
        await edge.scene.end(claim, 2)


async def test_during_a_running_turn_a_message_waits_for_the_next(edge: Edge) -> None:
    browser = edge.browser()
    await browser.chat("first")
    async with browser.stream():
        claim = await edge.claim()
        await browser.chat("second")
        assert (await browser.get("/session")).okay["pending"]["message"] is True
        await edge.scene.end(claim, 1)


async def test_a_retried_call_with_its_key_means_the_same_turn(edge: Edge) -> None:
    browser = edge.browser()
    headers = {**EVENTS, "Idempotency-Key": "7f3c"}
    await browser.get("/session")
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(browser.post("/chat", json={"message": "hello"}, headers=headers))
        await edge.work("once")
    again = await browser.post("/chat", json={"message": "hello"}, headers=headers)
    assert again.headers["x-turn-id"] == first.result().headers["x-turn-id"]
    assert text_of(parse(again.body)) == "once"
    plain = await browser.post("/chat", json={"message": "hello"}, headers={"Idempotency-Key": "7f3c"})
    assert plain.okay == {"success": True}
    assert (await browser.get("/session")).okay["pending"]["message"] is False


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "schlüssel"])
async def test_a_key_that_is_none_is_refused(edge: Edge, key: str) -> None:
    answer = await edge.browser().post("/chat", json={"message": "hi"}, headers={"Idempotency-Key": key})
    answer.refused(400, "bad_request")


async def test_without_a_worker_the_one_call_asks_to_come_back(serve: Callable[..., Any], valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, worker=False)
    answer = await edge.browser().post("/chat", json={"message": "hi"}, headers=EVENTS)
    assert answer.status == 200
    assert answer.body.startswith(b"retry: ")
    assert parse(answer.body) == []


async def test_a_failed_turn_is_told_in_the_stream(edge: Edge) -> None:
    browser = edge.browser()
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(browser.post("/chat", json={"message": "hello"}, headers=EVENTS))
        await edge.work(kind=Kind.FAILED)
    assert [event.type for event in parse(asked.result().body)] == ["failed"]
