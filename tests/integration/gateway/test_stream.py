"""GET /stream, in the order of its rules."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.state.ids import new_turn_id
from gateway.state.records import Kind
from tests.integration.gateway.edge import EVENTS, Browser, Edge
from tests.servers import RedisServer
from tests.sse import parse, text_of


async def answered(edge: Edge, browser: Browser, *texts: str) -> tuple[str, bytes]:
    """A turn from message to end: its id, and what its reader got."""
    await browser.chat()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(browser.read())
        claim = await edge.work(*texts)
    answer, _ = reading.result()
    return claim.ref.turn, answer.body


async def test_what_is_pending_becomes_a_turn_and_is_streamed(edge: Edge) -> None:
    browser = edge.browser()
    await browser.chat("hello")
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(browser.read())
        claim = await edge.work("good", " day\r\nto\nyou")
    answer, events = reading.result()
    assert answer.status == 200
    assert answer.headers["x-turn-id"] == claim.ref.turn
    assert answer.headers["x-accel-buffering"] == "no"
    assert "no-cache" in answer.headers["cache-control"]
    assert text_of(events) == "good day\nto\nyou"
    assert [event.last_event_id for event in events] == [f"{claim.ref.turn}:1-{seq}" for seq in (1, 2, 3)]
    assert events[-1].type == "done"
    assert json.loads(events[-1].data) == {"finish_reason": "STOP", "model": "gemini-test", "usage": {}}


async def test_the_first_bytes_are_retry_and_a_priming_block(edge: Edge) -> None:
    turn, body = await answered(edge, edge.browser(), "x")
    retry, prime, rest = body.partition(b"id: ")
    assert retry.startswith(b"retry: ")
    assert (prime + rest).startswith(f"id: {turn}:0-0\n\n".encode())


async def test_a_second_tab_follows_from_the_beginning(edge: Edge) -> None:
    browser = edge.browser()
    await browser.chat()
    async with browser.stream() as first:
        claim = await edge.claim()
        await edge.scene.say(claim, 1, "one ")
        await first.until("message")
        async with browser.stream() as second:
            await second.until("message")
            await edge.scene.say(claim, 2, "two")
            await edge.scene.end(claim, 3)
            assert text_of(await second.until("done")) == "one two"
            assert text_of(await first.until("done")) == "one two"
            assert first.headers["x-turn-id"] == second.headers["x-turn-id"]


async def test_two_tabs_at_once_begin_one_turn(edge: Edge) -> None:
    browser = edge.browser()
    await browser.chat()
    async with asyncio.TaskGroup() as tasks:
        readings = [tasks.create_task(browser.read()) for _ in range(5)]
        await edge.work("once")
    assert len({reading.result()[0].headers["x-turn-id"] for reading in readings}) == 1
    assert {text_of(reading.result()[1]) for reading in readings} == {"once"}


async def test_nothing_to_stream_is_409(edge: Edge) -> None:
    browser = edge.browser()
    (await browser.get("/stream", headers=EVENTS)).refused(409, "nothing_pending")
    await browser.get("/session")
    (await browser.get("/stream", headers=EVENTS)).refused(409, "nothing_pending")


async def test_nothing_to_stream_is_final_also_while_no_worker_lives(
    serve: Callable[..., Any], valkey: RedisServer
) -> None:
    edge: Edge = await serve(valkey, worker=False)
    browser = edge.browser()
    await browser.get("/session")
    (await browser.get("/stream", headers=EVENTS)).refused(409, "nothing_pending")


async def test_a_running_turn_is_followed_also_while_no_worker_lives(edge: Edge) -> None:
    browser = edge.browser()
    await browser.chat()
    async with browser.stream():
        claim = await edge.claim()
        await edge.scene.say(claim, 1, "text")
        await edge.scene.queue.resign(edge.scene.worker)
        async with browser.stream() as second:
            assert text_of(await second.until("message")) == "text"


async def test_who_follows_a_running_turn_or_finds_nothing_leaves_nothing_in_the_queue(edge: Edge) -> None:
    browser = edge.browser()
    await browser.chat()
    async with browser.stream():
        await edge.claim()
        async with browser.stream():
            pass
    stranger = edge.browser()
    await stranger.get("/session")
    (await stranger.get("/stream", headers=EVENTS)).refused(409, "nothing_pending")
    census = await edge.scene.queue.census()
    assert (census.waiting, census.live) == (0, 1)


async def test_after_its_end_the_turn_is_not_begun_again(edge: Edge) -> None:
    browser = edge.browser()
    await answered(edge, browser, "x")
    (await browser.get("/stream", headers=EVENTS)).refused(409, "nothing_pending")


async def test_a_page_that_reloads_attaches_without_beginning(edge: Edge) -> None:
    browser = edge.browser()
    await browser.chat()
    (await browser.get("/stream?begin=0")).refused(409, "nothing_pending")
    assert (await browser.get("/session")).okay["pending"]["message"] is True
    async with browser.stream() as first:
        claim = await edge.claim()
        await edge.scene.say(claim, 1, "text")
        await first.until("message")
        async with browser.stream("/stream?begin=0") as reloaded:
            assert text_of(await reloaded.until("message")) == "text"
        await edge.scene.end(claim, 2)


@pytest.mark.parametrize("by", ["header", "query"])
async def test_an_id_goes_on_behind_its_position(edge: Edge, by: str) -> None:
    browser = edge.browser()
    turn, _ = await answered(edge, browser, "one ", "two ", "three")
    seen = f"{turn}:1-1"
    if by == "header":
        _, events = await browser.read(headers={"Last-Event-ID": seen})
    else:
        _, events = await browser.read(f"/stream?last_event_id={seen}")
    assert text_of(events) == "two three"
    assert events[-1].type == "done"


async def test_the_header_goes_before_the_query(edge: Edge) -> None:
    browser = edge.browser()
    turn, _ = await answered(edge, browser, "one ", "two")
    _, events = await browser.read(f"/stream?last_event_id={turn}:0-0", headers={"Last-Event-ID": f"{turn}:1-1"})
    assert text_of(events) == "two"


async def test_an_id_at_the_end_is_told_to_stop(edge: Edge) -> None:
    browser = edge.browser()
    turn, _ = await answered(edge, browser, "x")
    answer = await browser.get("/stream", headers={"Last-Event-ID": f"{turn}:1-2", **EVENTS})
    assert (answer.status, answer.body) == (204, b"")
    beyond = await browser.get("/stream", headers={"Last-Event-ID": f"{turn}:9-9", **EVENTS})
    assert beyond.status == 204


async def test_an_id_never_begins_a_turn(edge: Edge) -> None:
    browser = edge.browser()
    turn, _ = await answered(edge, browser, "x")
    await browser.chat("next")
    answer = await browser.get("/stream", headers={"Last-Event-ID": f"{turn}:1-2"})
    assert answer.status == 204
    assert (await browser.get("/session")).okay["pending"]["message"] is True


@pytest.mark.parametrize("seen", [f"{new_turn_id()}:1-1", "nonsense", "x" * 5000, "ü", ":", "00:1-1"])
async def test_an_unknown_id_expires_and_its_own_id_is_told_to_stop(edge: Edge, seen: str) -> None:
    browser = edge.browser()
    await browser.chat()
    answer = await browser.get("/stream", headers={"Last-Event-ID": seen, **EVENTS})
    assert answer.status == 200
    [event] = parse(answer.body)
    assert event.type == "expired"
    stop = await browser.get("/stream", headers={"Last-Event-ID": event.last_event_id, **EVENTS})
    assert (stop.status, stop.body) == (204, b"")
    assert (await browser.get("/session")).okay["pending"]["message"] is True


async def test_an_id_of_another_users_turn_is_unknown(edge: Edge) -> None:
    alice, mallory = edge.browser(), edge.browser()
    turn, _ = await answered(edge, alice, "secret")
    await mallory.get("/session")
    answer = await mallory.get("/stream", headers={"Last-Event-ID": f"{turn}:0-0"})
    assert b"secret" not in answer.body
    assert [event.type for event in parse(answer.body)] == ["expired"]


async def test_an_id_without_a_session_expires(edge: Edge) -> None:
    _, events = await edge.browser().read(headers={"Last-Event-ID": f"{new_turn_id()}:1-1"})
    assert [event.type for event in events] == ["expired"]


async def test_a_new_attempt_starts_the_text_over(edge: Edge) -> None:
    browser = edge.browser()
    await browser.chat()
    async with browser.stream() as stream:
        claim = await edge.claim()
        await edge.scene.say(claim, 1, "half an ans")
        await stream.until("message")
        second = await edge.scene.reattempted(claim)
        await edge.scene.say(second, 1, "whole")
        await edge.scene.end(second, 2)
        events = await stream.until("done")
    assert [event.type for event in events] == ["message", "reset", "message", "done"]
    assert text_of(events) == "whole"


@pytest.mark.parametrize("kind", [Kind.DONE, Kind.STOPPED, Kind.FAILED])
async def test_each_end_closes_the_stream(edge: Edge, kind: Kind) -> None:
    browser = edge.browser()
    await browser.chat()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(browser.read())
        await edge.work("x", kind=kind)
    assert reading.result()[1][-1].type == kind


async def test_silence_is_broken_by_a_comment(serve: Callable[..., Any], valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, heartbeat_seconds=0.5)
    browser = edge.browser()
    await browser.chat()
    async with browser.stream() as stream:
        claim = await edge.claim()
        while not stream.parser.comments:
            await stream.more()
        await edge.scene.end(claim, 1)


async def test_a_reader_who_hangs_up_is_no_end_of_the_turn(edge: Edge) -> None:
    browser = edge.browser()
    await browser.chat()
    async with browser.stream() as stream:
        claim = await edge.claim()
        await edge.scene.say(claim, 1, "goes ")
        await stream.until("message")
    await edge.scene.say(claim, 2, "on")
    await edge.scene.end(claim, 3)
    assert [message["text"] for message in (await browser.get("/history")).okay["messages"]] == ["hello", "goes on"]


async def test_head_does_not_begin_a_turn(edge: Edge) -> None:
    browser = edge.browser()
    await browser.chat()
    answer = await browser.call("HEAD", "/stream")
    assert answer.status == 405
    assert (await browser.get("/session")).okay["pending"]["message"] is True


@pytest.mark.parametrize("trouble", ["no_worker", "queue_full"])
async def test_trouble_that_passes_is_answered_200_to_event_sources_and_503_to_others(
    serve: Callable[..., Any], valkey: RedisServer, trouble: str
) -> None:
    edge: Edge = await serve(valkey, queue_limit=1)
    browser = edge.browser()
    await browser.chat()
    if trouble == "no_worker":
        await edge.scene.queue.resign(edge.scene.worker)
    else:
        await edge.scene.begun()
    answer = await browser.get("/stream", headers=EVENTS)
    assert answer.status == 200
    assert parse(answer.body) == []
    assert answer.body.startswith(b"retry: ")
    assert answer.body.endswith(b"\n\n")
    plain = await browser.get("/stream")
    plain.refused(503, trouble)
    assert (await browser.get("/session")).okay["pending"]["message"] is True
