"""What the live service answers against what the API document says: every call, every status, body and headers."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.settings import GatewaySettings
from tests.client import Answer
from tests.contract import Contract, Key
from tests.integration.gateway.edge import EVENTS, picture
from tests.integration.gateway.openapi.scenes import (
    OF_GUARDS,
    OF_ROUTES,
    Stage,
    call,
    chat_in_one_call,
    real,
    stored_image,
)
from tests.servers import RedisServer

CONTRACT = Contract.of(GatewaySettings())
Serve = Callable[..., Any]


@pytest.fixture
def stage(serve: Serve, valkey: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(serve, valkey, monkeypatch)


async def brought_about(stage: Stage, key: Key) -> Answer:
    method, path, status = key
    if scene := OF_ROUTES.get(key):
        return await scene(stage)
    if status in OF_GUARDS:
        return await OF_GUARDS[status](stage, method, path)
    return await call(await stage.browser(), method, path)


@pytest.mark.parametrize("key", CONTRACT.answers(), ids=lambda key: "-".join(map(str, key)))
async def test_an_answer_is_as_described(stage: Stage, key: Key) -> None:
    method, path, status = key
    answer = await brought_about(stage, key)
    assert answer.status == status, answer.body
    CONTRACT.check(method, path, answer)


@pytest.mark.parametrize("name", ["Success", "Stopped", "Uploaded", "Health", "Error"])
def test_what_no_answer_comes_without_is_promised(name: str) -> None:
    schema = CONTRACT.document["components"]["schemas"][name]
    assert set(schema["required"]) == set(schema["properties"])


def test_a_caller_may_leave_out_what_has_a_default() -> None:
    assert CONTRACT.document["components"]["schemas"]["TextPrompt"]["required"] == ["prompt"]


def test_every_scene_is_of_an_answer_that_is_described() -> None:
    assert set(OF_ROUTES) <= set(CONTRACT.answers())


async def test_a_message_with_its_stream_is_as_described(stage: Stage) -> None:
    CONTRACT.check("POST", "/chat", await chat_in_one_call(stage))


async def test_a_stream_that_asks_to_come_back_is_as_described(stage: Stage) -> None:
    browser = await stage.browser(worker=False)
    CONTRACT.check("POST", "/chat", await browser.post("/chat", json={"message": "hello"}, headers=EVENTS))


async def test_a_log_that_is_gone_is_told_as_described(stage: Stage) -> None:
    browser = await stage.browser()
    answer = await browser.get("/stream", headers={"Last-Event-ID": f"{'0' * 24}:1-1"})
    assert b"expired" in answer.body
    CONTRACT.check("GET", "/stream", answer)


async def test_a_stopped_and_a_new_attempt_are_told_as_described(stage: Stage) -> None:
    edge = await stage.edge()
    browser = edge.browser()
    await browser.chat()
    async with browser.stream() as stream:
        claim = await edge.claim()
        await edge.scene.say(claim, 1, "half an ans")
        await edge.scene.reattempted(claim)
        await stream.until("reset")
        await browser.call("DELETE", "/history")
        await stream.until("stopped")
        CONTRACT.check("GET", "/stream", Answer(200, dict(stream.headers), stream.received))


async def test_the_history_of_a_stopped_answer_is_as_described(stage: Stage) -> None:
    edge = await stage.edge()
    browser = edge.browser()
    await browser.chat()
    async with browser.stream():
        claim = await edge.claim()
        await edge.scene.say(claim, 1, "half an ans")
        await edge.scene.turns.force_stop(claim.ref)
    answer = await browser.get("/history")
    assert answer.json["messages"][1]["stopped"] is True
    CONTRACT.check("GET", "/history", answer)


async def test_a_quota_is_told_as_described(stage: Stage) -> None:
    browser = await stage.browser(image_quota_count=1)
    answer = await browser.upload(("a.png", picture()), ("b.png", picture(colour="blue")))
    assert answer.status == 413
    CONTRACT.check("POST", "/upload", answer)


async def test_a_picture_is_of_one_of_the_types_described(stage: Stage) -> None:
    browser, url = await stored_image(stage)
    CONTRACT.check("GET", url, await browser.get(url))


@pytest.mark.parametrize("path", sorted({path for method, path, _ in CONTRACT.answers() if method == "GET"}))
async def test_head_is_answered_where_get_is_but_for_streams(stage: Stage, path: str) -> None:
    browser = await stage.browser()
    asked, had = await browser.call("HEAD", real(path)), await browser.get(real(path))
    if path == "/stream":
        asked.refused(405, "method_not_allowed")
    else:
        assert (asked.status, asked.headers.keys()) == (had.status, had.headers.keys())
