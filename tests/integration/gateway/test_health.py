"""GET / and GET /readyz."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.gateway.edge import Edge
from tests.servers import RedisServer
from tests.sse import text_of


async def test_it_says_that_it_lives(edge: Edge) -> None:
    answer = await edge.browser().get("/")
    assert answer.body == b'{"status":"healthy","message":"Gemini API backend running"}'
    assert "set-cookie" not in answer.headers


async def test_it_says_what_is_there(edge: Edge) -> None:
    answer = await edge.browser().get("/readyz")
    assert answer.okay == {
        "status": "ready",
        "redis": True,
        "workers": 1,
        "queue": {"waiting": 0, "live": 0, "oldest_wait_seconds": 0.0},
    }


async def test_without_redis_it_is_ready_and_says_so_within_a_second(
    serve: Callable[..., Any], own_valkey: RedisServer
) -> None:
    edge: Edge = await serve(own_valkey)
    own_valkey.freeze()
    began = time.monotonic()
    answer = await edge.browser().get("/readyz")
    assert time.monotonic() - began < 1.9
    assert answer.okay == {"status": "ready", "redis": False}
    assert (await edge.browser().get("/")).status == 200


async def test_while_it_drains_it_is_not_ready_and_serves_on(edge: Edge) -> None:
    edge.gateway.drain.begin()
    answer = await edge.browser().get("/readyz")
    assert (answer.status, answer.json["status"]) == (503, "draining")
    assert "retry-after" in answer.headers
    assert (await edge.browser().get("/")).status == 200
    assert (await edge.browser().get("/session")).status == 200


async def test_a_gateway_that_starts_before_redis_finds_it_later(
    serve: Callable[..., Any], own_valkey: RedisServer
) -> None:
    own_valkey.kill()
    edge: Edge = await serve(own_valkey, worker=False)
    browser = edge.browser()
    assert (await browser.get("/readyz")).okay["redis"] is False
    own_valkey.start()
    await edge.scene.beat()
    assert (await browser.get("/readyz")).okay["redis"] is True
    await browser.chat()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(browser.read())
        await edge.work("late, but whole")
    assert text_of(reading.result()[1]) == "late, but whole"


async def test_every_answer_names_its_request_and_nothing_of_the_server(edge: Edge) -> None:
    browser = edge.browser()
    first, second = await browser.get("/"), await browser.get("/nowhere")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert "server" not in first.headers
    assert first.headers["x-content-type-options"] == "nosniff"
    assert first.headers["cache-control"] == "no-store"


async def test_a_request_id_is_taken_from_a_trusted_proxy_alone(serve: Callable[..., Any], valkey: RedisServer) -> None:
    given = {"X-Request-Id": "balancer-1234"}
    behind = await serve(valkey, trusted_proxies=1)
    assert (await behind.browser().get("/", headers=given)).headers["x-request-id"] == "balancer-1234"
    alone = await serve(valkey)
    assert (await alone.browser().get("/", headers=given)).headers["x-request-id"] != "balancer-1234"


async def test_unknown_addresses_and_methods_have_our_kind_of_answer(edge: Edge) -> None:
    browser = edge.browser()
    (await browser.get("/nowhere")).refused(404, "not_found")
    (await browser.get("/history/")).refused(404, "not_found")
    refused = await browser.call("PUT", "/chat")
    refused.refused(405, "method_not_allowed")
    assert set(refused.headers["allow"].split(", ")) == {"POST", "OPTIONS"}


async def test_what_breaks_here_is_told_without_its_inside(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the inside")

    browser = edge.browser()
    await browser.get("/session")
    monkeypatch.setattr("gateway.state.sessions.Sessions.history", broken)
    answer = await browser.get("/history")
    answer.refused(500, "internal_error")
    assert b"inside" not in answer.body
    assert "x-request-id" in answer.headers


async def test_options_says_what_is_allowed_and_does_nothing(edge: Edge) -> None:
    answer = await edge.browser().call("OPTIONS", "/stream")
    assert answer.status == 200
    assert "GET" in answer.headers["allow"]
    assert "set-cookie" not in answer.headers
