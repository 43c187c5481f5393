"""Cookies, GET and DELETE /session, GET and DELETE /history."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.state.ids import SessionToken, new_token, session_id
from gateway.state.records import Kind
from tests.integration.gateway.edge import EVENTS, Browser, Edge, picture
from tests.servers import RedisServer

NAME = "gateway_session"
TLS = {"X-Forwarded-Proto": "https"}


def cookie(browser: Browser) -> SessionToken:
    [value] = [cookie.value for cookie in browser.client.cookie_jar or ()]
    return SessionToken(value or "")


async def conversed(edge: Edge, browser: Browser, message: str = "hello", answer: str = "good day") -> None:
    await browser.chat(message)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(browser.read())
        await edge.work(answer)


async def test_a_new_session_is_told_in_full(edge: Edge) -> None:
    answer = await edge.browser().get("/session")
    limits = answer.okay.pop("limits")
    assert answer.okay | {"limits": None} == {
        "pending": {"message": False, "images": 0},
        "turn": None,
        "usage": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
        "model": "gemini-test",
        "offline": True,
        "limits": None,
    }
    assert limits["message_chars"] == 32_000
    assert answer.headers["cache-control"] == "no-store"


async def test_without_a_worker_the_model_is_not_known(serve: Callable[..., Any], valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, worker=False)
    session = (await edge.browser().get("/session")).okay
    assert "model" not in session
    assert session["offline"] is False


async def test_pending_input_and_the_running_turn_are_told(edge: Edge) -> None:
    browser = edge.browser()
    await browser.chat()
    await browser.upload(("a.png", picture()))
    assert (await browser.get("/session")).okay["pending"] == {"message": True, "images": 1}
    async with browser.stream():
        claim = await edge.claim()
        session = (await browser.get("/session")).okay
        assert session["pending"] == {"message": False, "images": 0}
        assert session["turn"] == {"id": claim.ref.turn, "state": "running", "attempt": 1}
        await edge.scene.end(claim, 1)
    assert (await browser.get("/session")).okay["turn"] is None


async def test_the_cookie_is_kept_and_its_life_renewed(edge: Edge) -> None:
    browser = edge.browser()
    first = await browser.get("/session")
    token = cookie(browser)
    second = await browser.get("/session")
    assert cookie(browser) == token
    for answer in (first, second):
        assert f"{NAME}={token}" in answer.headers["set-cookie"]
        assert "Max-Age=604800" in answer.headers["set-cookie"]
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("given", [new_token(), "", "short", "x" * 5000, "x" * 42 + "%", '"quoted"'])
async def test_a_cookie_that_names_no_session_is_replaced_and_never_adopted(edge: Edge, given: str) -> None:
    browser = edge.browser()
    await browser.get("/session", headers={"Cookie": f"{NAME}={given}"})
    assert cookie(browser) != given
    assert len(cookie(browser)) == 43
    if given:
        assert await edge.scene.sessions.load(session_id(SessionToken(given))) is None


async def test_the_token_is_in_no_key(edge: Edge) -> None:
    browser = edge.browser()
    await conversed(edge, browser)
    keys = await edge.keys()
    assert any(session_id(cookie(browser)) in key for key in keys)
    assert not any(cookie(browser) in key for key in keys)


async def test_over_tls_the_cookie_is_a_host_cookie(serve: Callable[..., Any], valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, trusted_proxies=1)
    answer = await edge.browser().get("/session", headers=TLS)
    value = answer.headers["set-cookie"]
    assert value.startswith(f"__Host-{NAME}=")
    assert "; Secure" in value
    assert "; HttpOnly" in value
    plain = await edge.browser().get("/session")
    assert plain.headers["set-cookie"].startswith(f"{NAME}=")


async def test_over_tls_a_session_planted_over_plain_http_is_not_used(
    serve: Callable[..., Any], valkey: RedisServer
) -> None:
    edge: Edge = await serve(valkey, trusted_proxies=1)
    mallory = edge.browser()
    await mallory.get("/session")
    answer = await edge.browser().get("/history", headers={**TLS, "Cookie": f"{NAME}={cookie(mallory)}"})
    assert answer.okay == {"messages": []}


async def test_nobody_is_believed_about_tls_without_a_trusted_proxy(edge: Edge) -> None:
    answer = await edge.browser().get("/session", headers=TLS)
    assert "Secure" not in answer.headers["set-cookie"]


async def test_reading_opens_no_session(edge: Edge) -> None:
    browser = edge.browser()
    assert (await browser.get("/history")).okay == {"messages": []}
    assert (await browser.call("DELETE", "/history")).okay == {"success": True}
    assert (await browser.call("DELETE", "/session")).okay == {"success": True}
    assert (await browser.post("/stop")).okay == {"success": True, "stopped": False}
    await browser.get("/stream")
    assert not list(browser.client.cookie_jar or ())


async def test_history_tells_both_sides(edge: Edge) -> None:
    browser = edge.browser()
    await conversed(edge, browser)
    question, answer = (await browser.get("/history")).okay["messages"]
    turn = question["id"].removesuffix("-user")
    created, ended = question.pop("created_at"), answer.pop("created_at")
    assert question == {"id": f"{turn}-user", "role": "user", "text": "hello", "images": []}
    assert answer == {
        "id": f"{turn}-model",
        "role": "model",
        "text": "good day",
        "stopped": False,
        "finish_reason": "STOP",
        "model": "gemini-test",
        "usage": {},
    }
    assert created <= ended
    assert ended.endswith("Z")


async def test_two_users_never_see_each_others_words(edge: Edge) -> None:
    alice, bob = edge.browser(), edge.browser()
    await conversed(edge, alice, "from alice", "to alice")
    await conversed(edge, bob, "from bob", "to bob")
    assert [message["text"] for message in (await alice.get("/history")).okay["messages"]] == ["from alice", "to alice"]
    assert [message["text"] for message in (await bob.get("/history")).okay["messages"]] == ["from bob", "to bob"]


async def test_deleting_the_history_keeps_the_session(edge: Edge) -> None:
    browser = edge.browser()
    await conversed(edge, browser)
    await browser.chat("pending")
    await browser.upload(("a.png", picture()))
    token = cookie(browser)
    answer = await browser.call("DELETE", "/history")
    assert answer.body == b'{"success":true}'
    assert (await browser.get("/history")).okay == {"messages": []}
    assert (await browser.get("/session")).okay["pending"] == {"message": False, "images": 0}
    assert cookie(browser) == token
    await conversed(edge, browser, "again", "still here")


async def test_deleting_the_history_ends_the_running_turn(edge: Edge) -> None:
    browser = edge.browser()
    await browser.chat()
    async with browser.stream() as stream:
        claim = await edge.claim()
        await edge.scene.say(claim, 1, "half")
        await stream.until("message")
        await browser.call("DELETE", "/history")
        assert (await stream.until("stopped"))[-1].type == "stopped"
    assert not (await edge.scene.say(claim, 2, "late")).verdict.written
    assert (await browser.get("/history")).okay == {"messages": []}


async def test_deleting_the_session_leaves_nothing(edge: Edge) -> None:
    browser = edge.browser()
    await conversed(edge, browser)
    sid = session_id(cookie(browser))
    answer = await browser.call("DELETE", "/session")
    assert answer.body == b'{"success":true}'
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert answer.headers["cache-control"] == "no-store"
    # A count of recent requests says nothing about them, and goes by itself within its window.
    assert not [key for key in await edge.keys() if sid in key and ":{rates}:" not in key]
    assert not list(browser.client.cookie_jar or ())


async def test_a_deleted_sessions_cookie_opens_a_new_one(edge: Edge) -> None:
    browser, copy = edge.browser(), edge.browser()
    await browser.get("/session")
    token = cookie(browser)
    await browser.call("DELETE", "/session")
    await copy.post("/chat", json={"message": "hi"}, headers={"Cookie": f"{NAME}={token}"})
    assert cookie(copy) != token


async def test_deleting_the_session_ends_its_streams(edge: Edge) -> None:
    browser = edge.browser()
    await browser.chat()
    async with browser.stream() as stream:
        claim = await edge.claim()
        await edge.scene.say(claim, 1, "half")
        await stream.until("message")
        await browser.call("DELETE", "/session")
        assert (await stream.until("stopped"))[-1].type == "stopped"


async def test_a_session_that_expired_is_replaced_in_the_same_call(edge: Edge) -> None:
    browser = edge.browser()
    await browser.get("/session")
    token = cookie(browser)
    await edge.scene.sessions.delete(session_id(token))
    await browser.chat()
    assert cookie(browser) != token
    assert (await browser.get("/session")).okay["pending"]["message"] is True


@pytest.mark.parametrize("kind", [Kind.STOPPED, Kind.FAILED])
async def test_an_unfinished_answer_is_marked_or_left_out(edge: Edge, kind: Kind) -> None:
    browser = edge.browser()
    await browser.chat()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(browser.read())
        await edge.work("half", kind=kind)
    messages = (await browser.get("/history", headers=EVENTS)).okay["messages"]
    assert [message.get("stopped") for message in messages] == ([None, True] if kind is Kind.STOPPED else [])
