"""POST /stop."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.state.ids import new_turn_id
from gateway.state.records import Kind
from tests.integration.gateway.edge import Edge
from tests.servers import RedisServer


async def test_a_running_turn_is_stopped_when_its_worker_has_ended_it(edge: Edge) -> None:
    browser = edge.browser()
    await browser.chat()
    async with browser.stream() as stream:
        claim = await edge.claim()
        await edge.scene.say(claim, 1, "half")
        await stream.until("message")
        stopping = asyncio.ensure_future(browser.post("/stop"))
        while await edge.scene.turns.check([claim]) != ["STOP"]:
            await asyncio.sleep(0.01)
        assert not stopping.done(), "it answers when the upstream call is closed"
        await edge.scene.end(claim, 2, Kind.STOPPED)
        answer = await stopping
        assert answer.body == b'{"success":true,"stopped":true}'
        assert (await stream.until("stopped"))[-1].type == "stopped"
    question, answered = (await browser.get("/history")).okay["messages"]
    assert (question["text"], answered["text"], answered["stopped"]) == ("hello", "half", True)


async def test_a_turn_whose_worker_does_not_answer_is_taken_from_it(
    serve: Callable[..., Any], valkey: RedisServer
) -> None:
    edge: Edge = await serve(valkey, stop_timeout=0.2)
    browser = edge.browser()
    await browser.chat()
    async with browser.stream() as stream:
        claim = await edge.claim()
        await edge.scene.say(claim, 1, "half")
        await stream.until("message")
        assert (await browser.post("/stop")).okay == {"success": True, "stopped": True}
        await stream.until("stopped")
    assert not (await edge.scene.say(claim, 2, "late")).verdict.written
    assert [message["text"] for message in (await browser.get("/history")).okay["messages"]] == ["hello", "half"]


async def test_a_waiting_turn_is_stopped_at_once(edge: Edge) -> None:
    browser = edge.browser()
    await browser.chat()
    async with browser.stream() as stream:
        await stream.more()
        assert (await browser.post("/stop")).okay == {"success": True, "stopped": True}
        await stream.until("stopped")
    assert await edge.scene.queue.pop(0.1) is None


@pytest.mark.parametrize("named", [True, False])
async def test_a_turn_that_ends_by_itself_meanwhile_was_not_stopped(edge: Edge, named: bool) -> None:
    browser = edge.browser()
    await browser.chat()
    async with browser.stream() as stream:
        claim = await edge.claim()
        stopping = asyncio.ensure_future(browser.post("/stop", json={"turn": claim.ref.turn} if named else {}))
        while await edge.scene.turns.check([claim]) != ["STOP"]:
            await asyncio.sleep(0.01)
        await edge.scene.end(claim, 1, Kind.DONE)
        assert (await stopping).okay == {"success": True, "stopped": False}
        await stream.until("done")


async def test_there_may_be_nothing_to_stop(edge: Edge) -> None:
    browser = edge.browser()
    await browser.get("/session")
    nothing = {"success": True, "stopped": False}
    assert (await browser.post("/stop")).okay == nothing
    assert (await browser.post("/stop", json={})).okay == nothing
    assert (await browser.post("/stop", json={"turn": None})).okay == nothing
    assert (await browser.post("/stop", json={"turn": new_turn_id()})).okay == nothing


async def test_nobody_stops_another_users_turn(edge: Edge) -> None:
    alice, mallory = edge.browser(), edge.browser()
    await alice.chat()
    await mallory.get("/session")
    async with alice.stream() as stream:
        claim = await edge.claim()
        assert (await mallory.post("/stop", json={"turn": claim.ref.turn})).okay["stopped"] is False
        await edge.scene.say(claim, 1, "goes on")
        await edge.scene.end(claim, 2)
        assert (await stream.until("done"))[-1].type == "done"


@pytest.mark.parametrize("turn", ["", "nonsense", "x" * 24, 7, ["a"]])
async def test_what_is_no_turn_is_refused(edge: Edge, turn: Any) -> None:
    (await edge.browser().post("/stop", json={"turn": turn})).refused(400, "bad_request")
