"""While Redis is away: an answer soon, a true one, and everything as before when it is back."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.client import Answer
from tests.integration.gateway.edge import EVENTS, Browser, Edge, picture
from tests.servers import RedisServer
from tests.sse import Parser, parse, text_of

Serve = Callable[..., Any]

PATIENCE = 3.0


async def timely(call: Any) -> Answer:
    began = time.monotonic()
    answer: Answer = await call
    assert time.monotonic() - began < PATIENCE
    return answer


@pytest.fixture(params=["killed", "frozen"])
def away(request: pytest.FixtureRequest, own_valkey: RedisServer) -> Callable[[], None]:
    return own_valkey.kill if request.param == "killed" else own_valkey.freeze


@pytest.fixture
async def browser(serve: Serve, own_valkey: RedisServer) -> Browser:
    """A user whose session and message are stored."""
    edge: Edge = await serve(own_valkey)
    browser = edge.browser()
    await browser.chat()
    return browser


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/session", None),
        ("GET", "/history", None),
        ("GET", "/stream", None),
        ("GET", f"/images/{'0' * 32}", None),
        ("POST", "/chat", {"message": "hi"}),
        ("POST", "/generate_text", {"prompt": "p"}),
        ("POST", "/stop", {}),
        ("DELETE", "/history", None),
        ("DELETE", "/session", None),
    ],
)
async def test_a_plain_call_is_told_to_come_again(
    browser: Browser, away: Callable[[], None], method: str, path: str, body: Any
) -> None:
    away()
    answer = await timely(browser.call(method, path, **({} if body is None else {"json": body})))
    answer.refused(503, "unavailable")
    assert 1 <= int(answer.headers["retry-after"]) <= 10
    assert "set-cookie" not in answer.headers or "Max-Age=0" not in answer.headers["set-cookie"]


async def test_an_upload_is_told_to_come_again(browser: Browser, away: Callable[[], None]) -> None:
    away()
    (await timely(browser.upload(("a.png", picture())))).refused(503, "unavailable")


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "/stream", {}),
        ("GET", "/stream?last_event_id=0123456789abcdef01234567:1-1", {}),
        ("POST", "/chat", {"json": {"message": "hi"}}),
    ],
)
async def test_an_event_source_is_told_to_come_back(
    browser: Browser, away: Callable[[], None], method: str, path: str, more: dict[str, Any]
) -> None:
    away()
    answer = await timely(browser.call(method, path, headers=EVENTS, **more))
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.body.startswith(b"retry: ")
    assert answer.body.endswith(b"\n\n")
    assert parse(answer.body) == []


async def test_the_word_to_stop_is_final_also_now(browser: Browser, away: Callable[[], None]) -> None:
    away()
    health = await timely(browser.get("/"))
    assert health.status == 200


async def test_an_open_stream_goes_on_when_redis_is_back(serve: Serve, own_valkey: RedisServer) -> None:
    edge: Edge = await serve(own_valkey)
    browser = edge.browser()
    await browser.chat()
    async with browser.stream() as stream:
        claim = await edge.claim()
        await edge.scene.say(claim, 1, "before ")
        await stream.until("message")
        own_valkey.freeze()
        (await browser.get("/history")).refused(503, "unavailable")
        own_valkey.thaw()
        await edge.scene.say(claim, 2, "after")
        await edge.scene.end(claim, 3)
        assert text_of(await stream.until("done")) == "before after"


async def test_while_it_closes_readers_are_sent_elsewhere_and_others_served(
    serve: Serve, own_valkey: RedisServer
) -> None:
    edge: Edge = await serve(own_valkey, drain_notice_seconds=0.0, drain_seconds=30.0)
    browser = edge.browser()
    await browser.chat()
    async with asyncio.TaskGroup() as tasks, browser.stream() as stream:
        claim = await edge.claim()
        await edge.scene.say(claim, 1, "so far")
        await stream.until("message")
        draining = tasks.create_task(edge.gateway.drain.run())
        edge.gateway.drain.begin()
        while b"retry" not in await stream.more():
            pass
        assert [event.type for event in stream.events] == ["message"]
        seen = stream.parser.last_event_id
        again = await browser.get("/stream", headers={"Last-Event-ID": seen, **EVENTS})
        assert again.status == 200
        parser = Parser()
        assert parser.feed(again.body) == []
        assert parser.retry
        assert parser.last_event_id == seen, "a browser that came with a place keeps it"
        (await browser.get("/stream")).refused(503, "draining")
        assert (await browser.get("/history")).status == 200
        draining.cancel()
