"""Redis dies, freezes, or drops its connections: streams in flight end whole, callers are told, nobody takes over."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from tests.client import User, prompt
from tests.cluster import Cluster, Gemini
from tests.gemini_server import expected_answer
from tests.processes import found, until

LEASE = 1.0
EVENT_STREAM = {"Accept": "text/event-stream"}

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(stand_in: Gemini, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    directory = tmp_path_factory.mktemp("outage")
    worker = {"LEASE_SECONDS": str(LEASE), "ANSWER_MAX_BYTES": str(2**30)}
    async with Cluster(directory, stand_in, gateways=2, workers=2, worker=worker) as cluster:
        yield cluster


@pytest_asyncio.fixture(loop_scope="session")
async def user(cluster: Cluster, gemini: Gemini) -> AsyncIterator[User]:
    async with User(cluster.any_url) as user:
        await user.session()
        yield user
        await _recovered(cluster, user)


async def _recovered(cluster: Cluster, user: User) -> None:
    async def answered() -> bool:
        return all([(await user.call("GET", "/session", at=each.url)).status == 200 for each in cluster.gateways])

    await found(answered, "all gateways to answer again")


def _go(cluster: Cluster, how: str) -> None:
    cluster.server.kill() if how == "killed" else cluster.server.freeze()


def _return(cluster: Cluster, how: str) -> None:
    cluster.server.start() if how == "killed" else cluster.server.thaw()


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_streams_in_flight_end_whole_and_no_turn_changes_hands(
    cluster: Cluster, user: User, gemini: Gemini, how: str
) -> None:
    asked = prompt("in flight", "hold=3 chunks=30 delay=0.01")
    await user.chat(asked)
    async with user.stream() as reader, user.stream() as tab:
        for each in (reader, tab):
            await each.when(lambda each=each: len(each.text.split()) == 3)  # type: ignore[misc]
        _go(cluster, how)
        gone_at = time.monotonic()
        await gemini.release()
        call = await gemini.ended(await gemini.call_about(asked))
        assert call.ended == "whole", "the worker reads on, and keeps it"
        await until(lambda: time.monotonic() > gone_at + 3 * LEASE, "three leases to pass")
        _return(cluster, how)
        await reader.until("done")
        await tab.until("done")
    assert reader.text == tab.text == expected_answer(asked)
    assert reader.types() == tab.types() == ["done"]
    assert len(await gemini.calls_about(asked)) == 1
    assert await user.conversation() == [("user", asked), ("model", expected_answer(asked))]


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_plain_requests_get_a_503_soon_and_event_sources_come_back_by_themselves(
    cluster: Cluster, user: User, gemini: Gemini, how: str
) -> None:
    asked = prompt("during the outage")
    await user.chat(asked)
    running = prompt("reconnecting", "hold=3")
    async with User(cluster.any_url) as other:
        await other.chat(running)
        async with other.stream() as cut_off:
            await cut_off.when(lambda: len(cut_off.text.split()) == 3)
        _go(cluster, how)
        try:
            for gateway in cluster.gateways:
                assert (await user.call("GET", "/", at=gateway.url)).status == 200
                assert (await user.call("GET", "/readyz", at=gateway.url)).json["redis"] is False
                await _is_told(user, gateway.url)
            async with user.stream() as pending, other.stream(last_event_id=cut_off.last_event_id) as resumed:
                for each in (pending, resumed):
                    await each.when(lambda each=each: len(each.connections) >= 2)  # type: ignore[misc]
                    first = each.connections[0]
                    assert first.status == 200
                    assert b"retry: " in first.raw
                _return(cluster, how)
                await gemini.release()
                await pending.until("done")
                await resumed.until("done")
        finally:
            _ensure(cluster)
    assert pending.text == expected_answer(asked)
    assert cut_off.text + resumed.text == expected_answer(running)
    assert pending.types() == resumed.types() == ["done"]
    assert len(await gemini.calls_about(asked)) == len(await gemini.calls_about(running)) == 1


async def _is_told(user: User, url: str) -> None:
    """Every plain call gets its 503 within a second or two (here: with room for a busy machine)."""
    calls: list[Callable[[], Awaitable[object]]] = []
    for method, path, body in (
        ("GET", "/session", None),
        ("GET", "/history", None),
        ("POST", "/chat", {"message": "Hello"}),
        ("POST", "/stop", {}),
        ("DELETE", "/history", None),
        ("GET", "/stream", None),
        ("POST", "/generate_text", {"prompt": "Hello"}),
    ):

        async def call(method: str = method, path: str = path, body: object = body) -> None:
            async with asyncio.timeout(5.0):
                answer = await user.call(method, path, at=url, **({} if body is None else {"json": body}))
            answer.refused(503, "unavailable")
            assert int(answer.headers["Retry-After"]) > 0

        calls.append(call)
    await asyncio.gather(*(call() for call in calls))


def _ensure(cluster: Cluster) -> None:
    """Whatever a test left Redis in, it is back for the next one."""
    try:
        cluster.server.thaw()
    except RuntimeError:
        cluster.server.start()


@pytest.mark.parametrize("kind", ["normal", "pubsub"])
async def test_cut_connections_cost_no_word(cluster: Cluster, user: User, gemini: Gemini, kind: str) -> None:
    asked = prompt("cut", "chunks=120 delay=0.02")
    cut = 0
    await user.chat(asked)
    async with user.stream() as reader, user.stream() as tab:
        for words in range(10, 110, 10):
            await reader.when(lambda words=words: len(reader.text.split()) >= words)  # type: ignore[misc]
            cut += await cluster.redis.client_kill_filter(_type=kind, skipme=True)
        await reader.until("done")
        await tab.until("done")
    assert cut >= 5
    assert reader.text == tab.text == expected_answer(asked)
    assert reader.types() == tab.types() == ["done"]
    assert len(await gemini.calls_about(asked)) == 1


async def test_no_call_fails_because_its_idle_connection_was_cut(cluster: Cluster, user: User, gemini: Gemini) -> None:
    for _ in range(3):
        await cluster.redis.client_kill_filter(_type="normal", skipme=True)
        for gateway in cluster.gateways:
            assert (await user.call("GET", "/session", at=gateway.url)).status == 200
        asked = prompt("after the cut")
        assert (await user.ask(asked)).text == expected_answer(asked)
        assert len(await gemini.calls_about(asked)) == 1


async def test_a_flushed_script_cache_costs_nothing(cluster: Cluster, user: User, gemini: Gemini) -> None:
    asked = prompt("flushed", "chunks=60 delay=0.02")
    await user.chat(asked)
    async with user.stream() as reader:
        for words in range(5, 55, 5):
            await reader.when(lambda words=words: len(reader.text.split()) >= words)  # type: ignore[misc]
            await cluster.redis.script_flush()
            assert (await user.session())["turn"]["state"] == "running"
        await reader.until("done")
    assert reader.text == expected_answer(asked)
    assert reader.types() == ["done"]
    assert len(await gemini.calls_about(asked)) == 1


async def test_no_connection_or_file_is_left_behind_by_an_outage(cluster: Cluster, user: User, gemini: Gemini) -> None:
    processes = [*cluster.gateways, *cluster.workers]
    for _ in range(2):  # the pools have opened what they keep
        await user.ask(prompt("warming up"))
    before = {process.name: process.files() for process in processes}
    for _ in range(2):
        cluster.server.kill()
        await asyncio.gather(*(user.call("GET", "/session", at=gateway.url) for gateway in cluster.gateways * 5))
        cluster.server.start()
        await _recovered(cluster, user)
        asked = prompt("once more")
        assert (await user.ask(asked)).text == expected_answer(asked)

    async def as_before() -> bool:
        return all(process.files() <= before[process.name] + 5 for process in processes)

    await found(as_before, f"open files to be about {before} again")


async def test_a_worker_keeps_no_more_than_its_buffer_while_redis_is_away(
    cluster: Cluster, user: User, gemini: Gemini
) -> None:
    """The answer is far larger than all buffers together; Gemini is read no faster than it can be kept."""
    asked = prompt("flood", "hold=1 chunks=2000 pad=40000")
    await user.chat(asked)
    async with user.stream() as reader:
        await reader.when(lambda: bool(reader.events))
    call = await gemini.call_about(asked, held=True)
    worker = cluster.worker_of(call)
    before = worker.rss()
    cluster.server.freeze()
    await gemini.release()
    reached = await _stands_still(gemini, asked)
    assert worker.rss() < before + 24 * 2**20, "80 MB were on offer"
    cluster.server.thaw()
    await gemini.call_about(asked, chunks=reached + 50)
    assert (await user.call("DELETE", "/history")).status == 200
    assert (await gemini.ended(call)).ended == "disconnected"


async def _stands_still(gemini: Gemini, asked: str) -> int:
    """Returns when a second has passed without a chunk; their number."""
    seen = {"chunks": -1, "at": 0.0}

    async def still() -> bool:
        chunks = (await gemini.call_about(asked)).chunks
        if chunks != seen["chunks"]:
            seen.update(chunks=chunks, at=time.monotonic())
        return time.monotonic() - seen["at"] > 1.0

    await found(still, "Gemini's answer to be held up")
    return int(seen["chunks"])


async def test_a_history_survives_a_crash_of_redis(cluster: Cluster, user: User, gemini: Gemini) -> None:
    asked = [prompt("before"), prompt("after")]
    await user.ask(asked[0])
    cluster.server.restart()
    await _recovered(cluster, user)
    reader = await user.ask(asked[1])
    assert json.loads(reader.events[-1].data)["finish_reason"] == "STOP"
    assert [text for role, text in await user.conversation() if role == "user"] == asked
