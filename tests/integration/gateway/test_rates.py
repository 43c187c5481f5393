"""Limits as callers meet them."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.gateway.edge import EVENTS, Edge
from tests.servers import RedisServer

Serve = Callable[..., Any]


async def test_requests_beyond_the_sessions_rate_are_refused_with_a_time_to_wait(
    serve: Serve, valkey: RedisServer
) -> None:
    edge: Edge = await serve(valkey, rate_session_requests="2/60")
    browser = edge.browser()
    assert (await browser.get("/session")).status == 200
    answers = [await browser.get("/session") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    refused = answers[-1]
    assert refused.json["error"] == "too_many_requests"
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert refused.headers["ratelimit-policy"] == '"session";q=2;w=60'
    assert refused.headers["ratelimit"].startswith('"session";r=0;t=')


async def test_an_answer_tells_what_is_left_of_the_tightest_rate(serve: Serve, valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, rate_session_requests="5/60", rate_address_requests="100/60")
    browser = edge.browser()
    await browser.get("/session")
    answer = await browser.get("/session")
    assert answer.headers["ratelimit"].startswith('"session";r=4;')


async def test_parallel_requests_over_three_gateways_are_let_in_exactly_up_to_the_limit(
    serve: Serve, valkey: RedisServer
) -> None:
    edges: list[Edge] = [await serve(valkey, rate_address_requests="10/600") for _ in range(3)]
    browsers = [edge.browser() for edge in edges]
    answers = await asyncio.gather(*(browsers[n % 3].get("/history") for n in range(200)))
    assert sorted(answer.status for answer in answers) == [200] * 10 + [429] * 190


async def test_new_sessions_of_one_address_are_limited_and_known_ones_go_on(serve: Serve, valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, rate_address_sessions="1/3600")
    known, stranger = edge.browser(), edge.browser()
    assert (await known.get("/session")).status == 200
    refused = await stranger.get("/session")
    assert (refused.status, refused.json["error"]) == (429, "too_many_requests")
    assert "set-cookie" not in refused.headers
    assert (await known.get("/session")).status == 200


async def test_a_session_that_asks_too_fast_keeps_its_message(serve: Serve, valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, rate_session_turns="1/600")
    browser = edge.browser()
    await browser.chat("first")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(browser.read())
        await edge.work("answer")
    await browser.chat("second")
    refused = await browser.get("/stream")
    assert (refused.status, int(refused.headers["retry-after"]) > 1) == (429, True)
    assert (await browser.get("/session")).json["pending"]["message"] is True


async def test_liveness_is_never_limited(serve: Serve, valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, rate_address_requests="1/600")
    browser = edge.browser()
    for path in ("/", "/readyz"):
        assert [(await browser.get(path)).status for _ in range(3)] == [200] * 3


async def test_a_forwarded_address_counts_only_if_a_trusted_proxy_told_it(serve: Serve, valkey: RedisServer) -> None:
    trusting: Edge = await serve(valkey, rate_address_requests="1/600", trusted_proxies=1)
    browser = trusting.browser()
    for address in ("192.0.2.1", "192.0.2.2"):
        spoofed = {"X-Forwarded-For": f"198.51.100.9, {address}"}
        assert (await browser.get("/history", headers=spoofed)).status == 200
        assert (await browser.get("/history", headers=spoofed)).status == 429
    trusting_nobody: Edge = await serve(valkey, rate_address_requests="1/600")
    browser = trusting_nobody.browser()
    statuses = [
        (await browser.get("/history", headers={"X-Forwarded-For": f"192.0.2.{n}"})).status for n in range(10, 13)
    ]
    assert statuses[1:] == [429, 429]


async def test_without_redis_nobody_is_let_in(serve: Serve, own_valkey: RedisServer) -> None:
    edge: Edge = await serve(own_valkey, rate_address_requests="100/60")
    own_valkey.kill()
    refused = await edge.browser().get("/history")
    assert (refused.status, refused.json["error"]) == (503, "unavailable")
    assert "retry-after" in refused.headers


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("POST", "/chat", {"json": {"message": "hello"}}),
        ("POST", "/chat", {"json": {"nonsense": 1}}),
        ("GET", "/stream", {}),
        ("HEAD", "/stream", {}),
        ("GET", "/stream?begin=0", {}),
        ("GET", "/stream", {"headers": {"Last-Event-ID": "unknown"}}),
        ("POST", "/generate_text", {"json": {"prompt": 5}}),
    ],
    ids=["chat", "bad chat", "stream", "head", "attach", "resume", "bad prompt"],
)
async def test_a_request_is_counted_once_whatever_its_route_makes_of_it(
    serve: Serve, valkey: RedisServer, method: str, path: str, more: dict[str, Any]
) -> None:
    edge: Edge = await serve(valkey, rate_address_requests="2/600")
    browser = edge.browser()
    await browser.get("/session")
    assert (await browser.call(method, path, **more)).status != 429
    assert (await browser.call(method, path, **more)).status == 429


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "/stream", {}),
        ("POST", "/chat", {"json": {"message": "other"}}),
        ("POST", "/chat", {"json": {"message": "other"}, "headers": EVENTS}),
        ("POST", "/generate_text", {"json": {"prompt": "hello"}}),
    ],
    ids=["stream", "chat", "streamed chat", "text"],
)
async def test_a_refused_request_begins_and_stores_nothing(
    serve: Serve, valkey: RedisServer, method: str, path: str, more: dict[str, Any]
) -> None:
    edge: Edge = await serve(valkey, rate_address_requests="2/600")
    browser = edge.browser()
    await browser.get("/session")
    await browser.chat("pending")
    refused = await browser.call(method, path, **more)
    assert (refused.status, refused.json["error"]) == (429, "too_many_requests")
    census = await edge.scene.queue.census()
    assert (census.waiting, census.live) == (0, 0)


async def test_who_was_refused_and_asks_on_is_told_so_without_redis(serve: Serve, own_valkey: RedisServer) -> None:
    edge: Edge = await serve(own_valkey, rate_address_requests="1/600")
    browser = edge.browser()
    assert [(await browser.get("/history")).status for _ in range(2)] == [200, 429]
    own_valkey.kill()
    for method, path in (("GET", "/history"), ("GET", "/stream"), ("POST", "/chat")):
        refused = await browser.call(method, path)
        assert refused.status == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 600
        assert refused.headers["ratelimit"].startswith('"address";r=0;t=')
