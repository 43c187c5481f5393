"""/stop, from any replica and at every moment of a turn."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import pytest_asyncio

from gateway.state import keys
from gateway.state.ids import TurnRef
from gateway.state.script import Call, run, script
from tests.client import User, prompt
from tests.cluster import Cluster, Gemini
from tests.e2e.conftest import Clusters
from tests.gemini_server import expected_answer
from tests.processes import found

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def narrow(stand_in: Gemini, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """One worker that runs one turn at a time."""
    directory = tmp_path_factory.mktemp("narrow")
    worker = {"WORKER_CONCURRENCY": "1", "RETRY_TOTAL_SECONDS": "30"}
    async with Cluster(directory, stand_in, gateways=2, worker=worker) as cluster:
        yield cluster


@pytest_asyncio.fixture(loop_scope="session")
async def user(narrow: Cluster, gemini: Gemini) -> AsyncIterator[User]:
    async with User(narrow.any_url) as user:
        yield user


async def test_in_mid_answer_what_was_said_stays_in_history_and_the_upstream_is_closed(
    narrow: Cluster, user: User, gemini: Gemini
) -> None:
    here, there = (gateway.url for gateway in narrow.gateways)
    asked = prompt("enough", "hold=3")
    await user.chat(asked)
    async with user.stream(at=here) as reader:
        await reader.when(lambda: len(reader.text.split()) == 3)
        call = await gemini.call_about(asked, held=True)

        assert await user.stop(at=there) is True

        assert (await gemini.ended(call, timeout=1)).ended == "disconnected"
        stopped = json.loads((await reader.until("stopped")).data)
        assert (await reader.until_closed()).status == 204
    said, answer = await user.history()
    assert said["text"] == asked
    assert answer["text"] == reader.text
    assert expected_answer(asked).startswith(reader.text)
    assert answer["stopped"] is True
    assert "finish_reason" not in answer
    assert answer["usage"] == stopped["usage"] == (await user.session())["usage"]
    assert stopped["usage"]["total_tokens"] > 0
    assert (await user.session())["turn"] is None


async def test_the_conversation_goes_on_after_a_stop(user: User, gemini: Gemini) -> None:
    first, second = prompt("first", "hold=2"), prompt("second")
    await user.chat(first)
    async with user.stream() as reader:
        await gemini.call_about(first, held=True)
        await user.stop()
        await reader.until("stopped")
    assert (await user.ask(second)).text == expected_answer(second)
    [call] = await gemini.calls_about(second)
    assert call.messages == [("user", [first]), ("model", [reader.text]), ("user", [second])]


async def test_before_the_first_chunk(user: User, gemini: Gemini) -> None:
    asked = prompt("not even begun", "hold=-1")
    await user.chat(asked)
    async with user.stream() as reader:
        call = await gemini.call_about(asked, held=True)
        assert await user.stop() is True
        assert (await gemini.ended(call, timeout=1)).ended == "disconnected"
        await reader.until("stopped")
    said, answer = await user.history()
    assert (said["text"], answer["text"], answer["stopped"]) == (asked, "", True)


async def test_while_the_turn_is_queued(narrow: Cluster, user: User, gemini: Gemini) -> None:
    busy, asked = prompt("busy", "hold=1"), prompt("queued")
    async with User(narrow.any_url) as other:
        await other.chat(busy)
        async with other.stream() as others:
            await gemini.call_about(busy, held=True)
            await user.chat(asked)
            async with user.stream() as reader:
                await reader.when(lambda: reader.last_event_id != "")
                assert (await user.session())["turn"]["state"] == "queued"
                assert await user.stop() is True
                await reader.until("stopped")
            await gemini.release()
            await others.until("done")
    assert await gemini.calls_about(asked) == []
    assert [message["text"] for message in await user.history()] == [asked, ""]
    again = prompt("next")
    await user.ask(again)
    [call] = await gemini.calls_about(asked)
    assert call.messages == [("user", [asked, again])], "the stale hint began nothing"


async def test_during_a_retry_wait(narrow: Cluster, user: User, gemini: Gemini) -> None:
    asked = prompt("overloaded", "status=503 retry_after=20")
    await user.chat(asked)
    async with user.stream() as reader:
        await gemini.ended(await gemini.call_about(asked))

        async def waiting() -> bool:
            return "call failed" in narrow.workers[0].output

        await found(waiting, "the worker to wait")
        assert await user.stop() is True
        await reader.until("stopped")
    assert len(await gemini.calls_about(asked)) == 1


async def test_by_the_turns_id_and_only_that_turn(user: User, gemini: Gemini) -> None:
    first = await user.ask(prompt("over"))
    over = first.connections[0].headers["X-Turn-Id"]
    asked = prompt("running", "hold=2")
    await user.chat(asked)
    async with user.stream() as reader:
        await gemini.call_about(asked, held=True)
        assert await user.stop(over) is False
        assert await user.stop("0123456789abcdef01234567") is False
        (await user.call("POST", "/stop", json={"turn": "no id"})).refused(400, "bad_request")
        await gemini.release()
        await reader.until("done")
    assert reader.text == expected_answer(asked)


async def test_nothing_to_stop_is_a_success_that_stopped_nothing(user: User, gemini: Gemini) -> None:
    assert await user.stop() is False
    await user.ask(prompt("over"))
    assert await user.stop() is False
    [_, answer] = await user.history()
    assert answer["stopped"] is False


async def test_nobody_stops_another_users_turn(narrow: Cluster, user: User, gemini: Gemini) -> None:
    asked = prompt("mine", "hold=2")
    await user.chat(asked)
    async with user.stream() as reader, User(narrow.any_url) as stranger:
        await gemini.call_about(asked, held=True)
        turn = reader.connections[0].headers["X-Turn-Id"]
        await stranger.session()
        assert await stranger.stop(turn) is False
        await gemini.release()
        await reader.until("done")
    assert reader.text == expected_answer(asked)


async def _running(cluster: Cluster) -> TurnRef:
    [(ref, _)] = await cluster.queue.live(limit=9)
    return ref


async def test_whoever_asks_for_it_may_die_right_behind_its_script(clusters: Clusters, gemini: Gemini) -> None:
    cluster = await clusters.start(worker={"LEASE_SECONDS": "60"})
    asked = prompt("asked and gone", "hold=3")
    async with User(cluster.any_url) as user:
        await user.chat(asked)
        async with user.stream() as reader:
            call = await gemini.call_about(asked, held=True)
            ref = await _running(cluster)
            assert await run(cluster.redis, Call(script("stop"), keys.of_turn(*ref), [])) == b"ASKED"
            assert (await gemini.ended(call, timeout=1)).ended == "disconnected"
            await reader.until("stopped")


async def test_while_its_worker_hears_nothing_it_is_heeded_as_soon_as_that_hears_again(
    clusters: Clusters, gemini: Gemini
) -> None:
    """The worker's subscription is cut, and every new one refused, until the stop is in the record alone."""
    cluster = await clusters.start(gateway={"STOP_TIMEOUT": "30"}, worker={"LEASE_SECONDS": "60"})
    asked, redis = prompt("unheard", "hold=3"), cast("Any", cluster.redis)
    async with User(cluster.any_url) as user:
        await user.chat(asked)
        async with user.stream() as reader, asyncio.TaskGroup() as group:
            call = await gemini.call_about(asked, held=True)
            ref = await _running(cluster)
            await redis.execute_command("ACL", "SETUSER", "default", "-subscribe")
            for client in await redis.client_list():
                if client["sub"] == "1":
                    await redis.client_kill_filter(_id=client["id"])
            stop = group.create_task(user.stop())

            async def asked_for() -> bool:
                return bool(await cluster.redis.hexists(keys.turn(*ref), "stop"))

            await found(asked_for, "the stop to be in the record")
            await asyncio.sleep(1.0)
            assert not stop.done()
            await redis.execute_command("ACL", "SETUSER", "default", "+subscribe")
            assert (await gemini.ended(call, timeout=2)).ended == "disconnected"
            await reader.until("stopped")
        assert stop.result() is True


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_with_its_worker_dead_the_turn_ends_from_its_log(clusters: Clusters, gemini: Gemini, how: str) -> None:
    cluster = await clusters.start(gateways=2, worker={"LEASE_SECONDS": "60"}, gateway={"STOP_TIMEOUT": "0.5"})
    asked = prompt("abandoned", "hold=3")
    async with User(cluster.any_url) as user:
        await user.chat(asked)
        async with user.stream() as reader:
            call = await gemini.call_about(asked, held=True)
            await reader.when(lambda: len(reader.text.split()) == 3)
            worker = cluster.worker_of(call)
            if how == "killed":
                cluster.kill(worker)
            else:
                worker.freeze()

            assert await user.stop() is True

            await reader.until("stopped")
        said, answer = await user.history()
        assert (said["text"], answer["text"], answer["stopped"]) == (asked, reader.text, True)
        assert answer["usage"] == (await user.session())["usage"]
        if how == "frozen":
            worker.thaw()
            assert (await gemini.ended(call)).ended == "disconnected"
        else:
            await cluster.add_workers()
        again = prompt("next")
        assert (await user.ask(again)).text == expected_answer(again)
        assert len(await user.history()) == 4
