"""Two things at once: each race has its one right outcome."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway.state import keys
from gateway.state.ids import SessionId, SessionToken, TurnId, TurnRef, session_id
from gateway.state.queue import Queue
from gateway.state.script import Call, run
from gateway.state.sessions import SessionLimits, Sessions
from gateway.state.turns import TurnLimits, Turns
from tests.client import ENDS, Answer, User, picture, prompt
from tests.cluster import Cluster, Gemini
from tests.e2e.conftest import Clusters
from tests.gemini_server import expected_answer
from tests.processes import found
from tests.sse import parse, text_of

EVENT_STREAM = {"Accept": "text/event-stream"}

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]


async def _session_of(user: User) -> SessionId:
    """The name under which Redis holds the user's session."""
    await user.session()
    [cookie] = user.jar
    return session_id(SessionToken(cookie.value))


async def _keys_of(cluster: Cluster, session: SessionId) -> list[bytes]:
    return [key async for key in cluster.redis.scan_iter(match=f"*{{{session}}}*")]


async def test_two_tabs_that_begin_at_once_get_the_same_turn(cluster: Cluster, user: User, gemini: Gemini) -> None:
    for _ in range(5):
        asked = prompt("both", "hold=1")
        await user.chat(asked)
        async with AsyncExitStack() as stack:
            tabs = [
                await stack.enter_async_context(user.stream(at=gateway.url))
                for gateway in cluster.gateways
                for _ in range(2)
            ]
            for tab in tabs:
                await tab.when(lambda tab=tab: bool(tab.events))  # type: ignore[misc]
            await gemini.release()
            for tab in tabs:
                await tab.until("done")
        assert [tab.text for tab in tabs] == [expected_answer(asked)] * len(tabs)
        assert len({tab.connections[0].headers["X-Turn-Id"] for tab in tabs}) == 1
        assert len(await gemini.calls_about(asked)) == 1


async def test_posts_that_begin_at_once_begin_one_turn_and_the_others_are_told(
    cluster: Cluster, user: User, gemini: Gemini
) -> None:
    await user.session()
    prompts = [prompt(f"tab {number}", "hold=1") for number in range(6)]
    async with asyncio.TaskGroup() as group:
        posts = [
            group.create_task(user.call("POST", "/chat", json={"message": asked}, headers=EVENT_STREAM))
            for asked in prompts
        ]
        await gemini.call_about("tab ", held=True)
        await found(lambda: _all_but_one(posts), "the others to be told")
        await gemini.release()
    answers = [post.result() for post in posts]
    [winner] = [index for index, answer in enumerate(answers) if answer.status == 200]
    assert text_of(parse(answers[winner].body)) == expected_answer(prompts[winner])
    turn = answers[winner].headers["X-Turn-Id"]
    for index, answer in enumerate(answers):
        if index != winner:
            answer.refused(409, "turn_running")
            assert answer.headers["X-Turn-Id"] == turn
    assert (await user.session())["pending"]["message"] is False, "nothing of them is stored"
    assert await user.conversation() == [("user", prompts[winner]), ("model", expected_answer(prompts[winner]))]


async def _all_but_one(posts: Sequence[asyncio.Task[Answer]]) -> bool:
    return sum(post.done() for post in posts) == len(posts) - 1


async def test_a_post_with_stream_while_a_turn_runs_is_409_and_stores_nothing(user: User, gemini: Gemini) -> None:
    asked = prompt("running", "hold=1")
    await user.chat(asked)
    async with user.stream() as reader:
        await reader.when(lambda: bool(reader.events))
        refused = await user.call("POST", "/chat", json={"message": "and this?"}, headers=EVENT_STREAM)
        refused.refused(409, "turn_running")
        assert refused.headers["X-Turn-Id"] == reader.connections[0].headers["X-Turn-Id"]
        assert (await user.session())["pending"] == {"message": False, "images": 0}
        await gemini.release()
        await reader.until("done")
    (await user.call("GET", "/stream")).refused(409, "nothing_pending")


async def test_a_message_posted_while_a_turn_runs_waits_for_the_next_stream(user: User, gemini: Gemini) -> None:
    first, second = prompt("first", "hold=1"), prompt("second")
    await user.chat(first)
    async with user.stream() as reader:
        await reader.when(lambda: bool(reader.events))
        await user.chat(second)
        async with user.stream() as tab:
            await tab.when(lambda: bool(tab.events))
            await gemini.release()
            await tab.until("done")
        await reader.until("done")
    assert reader.text == tab.text == expected_answer(first)
    assert (await user.read()).text == expected_answer(second)


async def test_a_post_repeated_with_its_key_means_the_same_turn(user: User, gemini: Gemini) -> None:
    asked, key = prompt("once", "hold=2"), "key-of-one-message"
    await user.session()
    headers = {**EVENT_STREAM, "Idempotency-Key": key}
    async with asyncio.TaskGroup() as group:
        posts = [
            group.create_task(user.call("POST", "/chat", json={"message": asked}, headers=headers)) for _ in range(4)
        ]
        await gemini.call_about(asked, held=True)
        await gemini.release()
    late = await user.call("POST", "/chat", json={"message": asked}, headers=headers)
    answers = [*(post.result() for post in posts), late]
    assert [text_of(parse(answer.body)) for answer in answers] == [expected_answer(asked)] * 5
    assert len({answer.headers["X-Turn-Id"] for answer in answers}) == 1
    await user.chat(asked, key=key)
    assert (await user.session())["pending"]["message"] is False, "that message has been answered"
    (await user.call("GET", "/stream")).refused(409, "nothing_pending")
    assert len(await gemini.calls_about(asked)) == 1
    assert len(await user.history()) == 2


async def test_a_post_whose_answer_was_lost_may_be_repeated_before_the_stream(user: User, gemini: Gemini) -> None:
    asked = prompt("twice sent")
    await user.chat(asked, key="k1")
    await user.chat(asked, key="k1")
    assert (await user.read()).text == expected_answer(asked)
    (await user.call("GET", "/stream")).refused(409, "nothing_pending")


async def test_a_second_hint_for_a_turn_begins_no_second_attempt(cluster: Cluster, user: User, gemini: Gemini) -> None:
    """Two claims of one turn: the record decides, not the queue."""
    asked = prompt("claimed twice", "hold=2")
    session = await _session_of(user)
    await user.chat(asked)
    async with user.stream() as reader:
        await gemini.call_about(asked, held=True)
        ref = TurnRef(session, TurnId(reader.connections[0].headers["X-Turn-Id"]))
        for _ in range(3):
            await cluster.queue.ready(ref)
            await found(lambda: _taken(cluster, ref), "the hint to be taken")
        await gemini.release()
        await reader.until("done")
    assert reader.text == expected_answer(asked)
    assert reader.types() == ["done"]
    assert len(await gemini.calls_about(asked)) == 1


async def _taken(cluster: Cluster, ref: TurnRef) -> bool:
    return await cluster.redis.zscore(keys.READY, str(ref)) is None


class _NoHints(Turns):
    """A gateway that dies after a turn's begin, before its hint."""

    async def _begun(self, _ref: TurnRef, begin: Call) -> Any:
        return await run(self._redis, begin)


async def test_a_turn_whose_gateway_died_before_the_hint_is_found_by_the_sweep(
    cluster: Cluster, user: User, gemini: Gemini
) -> None:
    session = await _session_of(user)
    asked = prompt("no hint")
    await user.chat(asked)
    queue = Queue(cluster.redis)
    loaded = await Sessions(cluster.redis, queue, SessionLimits()).load(session)
    assert loaded is not None
    begun = await _NoHints(cluster.redis, queue, TurnLimits()).begin(loaded)
    assert await queue.waiting([TurnRef(session, begun.turn)]) == set()
    async with user.stream("?begin=0") as reader:
        await reader.until("done")
    assert reader.connections[0].headers["X-Turn-Id"] == begun.turn
    assert reader.text == expected_answer(asked)
    assert len(await gemini.calls_about(asked)) == 1


async def test_an_index_entry_whose_gateway_died_before_the_begin_is_dropped(
    cluster: Cluster, user: User, gemini: Gemini
) -> None:
    session = await _session_of(user)
    ref = TurnRef(session, TurnId("0123456789abcdef01234567"))
    await cluster.redis.zadd(keys.LIVE, {str(ref): 1})

    async def dropped() -> bool:
        return await cluster.redis.zscore(keys.LIVE, str(ref)) is None

    await found(dropped, "the sweep to drop the entry")
    assert (await user.session())["pending"] == {"message": False, "images": 0}
    asked = prompt("next")
    assert (await user.ask(asked)).text == expected_answer(asked)


async def test_clearing_the_history_in_mid_turn_ends_it_for_good(cluster: Cluster, user: User, gemini: Gemini) -> None:
    before, asked, after = prompt("before"), prompt("cleared", "hold=3 chunks=30"), prompt("after")
    await user.ask(before)
    await user.upload(picture())
    await user.chat(asked)
    async with user.stream() as reader:
        await reader.when(lambda: len(reader.text.split()) == 3)
        call = await gemini.call_about(asked, held=True)

        assert (await user.call("DELETE", "/history")).okay == {"success": True}

        assert (await gemini.ended(call)).ended == "disconnected"
        end = await reader.until(lambda event: event.type in (*ENDS, "expired"))
        assert end.type in ("stopped", "expired")
        assert (await reader.until_closed()).status == 204
    assert await user.history() == []
    session = await user.session()
    assert session["pending"] == {"message": False, "images": 0}
    assert session["turn"] is None
    assert (await user.ask(after)).text == expected_answer(after)
    [last] = await gemini.calls_about(after)
    assert last.messages == [("user", [after])]
    assert len(await user.history()) == 2


async def test_deleting_the_session_in_mid_turn_leaves_no_key(cluster: Cluster, user: User, gemini: Gemini) -> None:
    session = await _session_of(user)
    asked = prompt("deleted", "hold=3 chunks=30")
    await user.chat(asked)
    async with user.stream() as reader:
        await reader.when(lambda: len(reader.text.split()) == 3)
        call = await gemini.call_about(asked, held=True)
        turn = reader.connections[0].headers["X-Turn-Id"]

        assert (await user.call("DELETE", "/session")).okay == {"success": True}

        assert await _keys_of(cluster, session) == []
        assert (await gemini.ended(call)).ended == "disconnected"
        await reader.until(lambda event: event.type in ("stopped", "expired"))
    assert await _keys_of(cluster, session) == [], "late writes bring nothing back"
    assert await cluster.redis.zscore(keys.LIVE, f"{session}:{turn}") is None
    assert (await user.session())["turn"] is None
    again = prompt("anew")
    assert (await user.ask(again)).text == expected_answer(again)
    assert await _keys_of(cluster, session) == [], "the new session is another one"


async def test_words_that_flow_while_the_history_is_cleared_show_up_nowhere(
    cluster: Cluster, user: User, gemini: Gemini
) -> None:
    for words in (1, 5, 9, 13):
        asked, after = prompt("flowing", "chunks=40 delay=0.005"), prompt("after")
        await user.chat(asked)
        async with user.stream() as reader:
            await reader.when(lambda words=words: len(reader.text.split()) >= words)  # type: ignore[misc]
            await user.call("DELETE", "/history")
            await reader.until(lambda event: event.type in ("stopped", "expired", "done"))
        assert await user.history() == []
        assert (await user.ask(after)).text == expected_answer(after)
        assert [text for role, text in await user.conversation() if role == "user"] == [after]
        await user.call("DELETE", "/history")


async def test_a_stop_against_the_finish_has_one_outcome_everywhere(
    cluster: Cluster, user: User, gemini: Gemini
) -> None:
    ends = set()
    for chunks in range(1, 9):
        asked = prompt("race", f"chunks={chunks} delay=0.01")
        await user.chat(asked)
        async with user.stream() as reader:
            await reader.when(lambda: bool(reader.events))
            stops = await asyncio.gather(*(user.stop(at=gateway.url) for gateway in cluster.gateways))
            end = await reader.until(lambda event: event.type in ENDS)
        ends.add(end.type)
        said, answer = (await user.history())[-2:]
        assert said["text"] == asked
        assert answer["text"] == reader.text
        assert answer["stopped"] is (end.type == "stopped")
        assert any(stops) == (end.type == "stopped")
        assert len(await gemini.calls_about(asked)) == 1
        assert (await user.session())["turn"] is None
    assert ends <= {"stopped", "done"}
    assert len(await user.history()) == 16


async def test_a_session_that_expires_in_mid_turn_ends_it_and_leaves_nothing(
    clusters: Clusters, gemini: Gemini
) -> None:
    """Worker and readers notice by the turn's deadline at the latest: nothing tells of an expiry."""
    cluster = await clusters.start(gateway={"TURN_DEADLINE": "4"})
    asked, again = prompt("expiring", "hold=3 chunks=30"), prompt("anew")
    async with User(cluster.any_url) as user:
        session = await _session_of(user)
        await user.chat(asked)
        async with user.stream() as reader:
            await reader.when(lambda: len(reader.text.split()) == 3)
            call = await gemini.call_about(asked, held=True)
            await cluster.redis.delete(*await _keys_of(cluster, session))
            assert (await gemini.ended(call, timeout=8.0)).ended == "disconnected"
            await reader.until("expired")
            assert (await reader.until_closed()).status == 204
        assert await _keys_of(cluster, session) == []
        assert (await user.session())["turn"] is None
        assert (await user.ask(again)).text == expected_answer(again)


@pytest.mark.parametrize("read", [True, False])
async def test_a_turn_past_its_deadline_is_ended_as_failed_for_all(
    clusters: Clusters, gemini: Gemini, read: bool
) -> None:
    """Soon, with readers or without, and although its worker is the only one and Gemini says nothing."""
    cluster = await clusters.start(gateway={"TURN_DEADLINE": "3"})
    asked = prompt("overdue", "hold=3")
    async with User(cluster.any_url) as user:
        await user.chat(asked)
        async with user.stream() as reader:
            await reader.when(lambda: len(reader.text.split()) == 3)
            call = await gemini.call_about(asked, held=True)
            if read:
                failed = json.loads((await reader.until("failed")).data)
                assert (failed["error"], failed["retryable"]) == ("deadline_exceeded", True)
        assert (await gemini.ended(call)).ended == "disconnected"
        assert (await user.session())["pending"]["message"] is True
        assert await user.history() == []


async def test_parallel_first_calls_leave_a_user_with_one_working_session(cluster: Cluster, gemini: Gemini) -> None:
    async with User(cluster.any_url) as user:
        await asyncio.gather(*(user.call("GET", "/session") for _ in range(5)))
        asked = prompt("settled")
        assert (await user.ask(asked)).text == expected_answer(asked)
        assert len(user.jar) == 1
