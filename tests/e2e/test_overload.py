"""More than there is room for: told at once, bounded everywhere, and whole in the end."""

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import Self

import pytest

from tests.client import User, prompt
from tests.cluster import Gemini
from tests.e2e.conftest import Clusters
from tests.gemini_server import expected_answer
from tests.processes import found
from tests.sse import parse, text_of

MIB = 2**20

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(90)]


async def test_a_full_queue_is_told_and_event_sources_get_their_turn_later(clusters: Clusters, gemini: Gemini) -> None:
    settings = {"QUEUE_LIMIT": "2"}
    cluster = await clusters.start(gateways=2, gateway=settings, worker={"WORKER_CONCURRENCY": "1"})
    prompts = [prompt(f"user {number}", "hold=1") for number in range(4)]
    async with AsyncExitStack() as stack:
        users = [await stack.enter_async_context(User(cluster.any_url)) for _ in prompts]
        for user, asked in zip(users, prompts, strict=True):
            await user.chat(asked)
        readers = [await stack.enter_async_context(users[0].stream())]
        await gemini.call_about(prompts[0], held=True)
        for user in users[1:3]:
            readers.append(await stack.enter_async_context(user.stream()))
            await readers[-1].when(lambda: readers[-1].last_event_id != "")

        full = await users[3].call("POST", "/chat", json={"message": "one more"})
        full.refused(503, "queue_full")
        assert int(full.headers["Retry-After"]) > 0
        (await users[3].call("GET", "/stream")).refused(503, "queue_full")
        (await users[3].generate_text("one more")).refused(503, "queue_full")
        sent_away = await stack.enter_async_context(users[3].stream())
        await sent_away.when(lambda: len(sent_away.connections) >= 2)
        assert (sent_away.connections[0].status, sent_away.events) == (200, [])
        readers.append(sent_away)

        for asked in prompts:
            await gemini.release((await gemini.call_about(asked, held=True)).id)
        for reader in readers:
            await reader.until("done")
    assert [reader.text for reader in readers] == [expected_answer(asked) for asked in prompts]
    assert {len(await gemini.calls_about(asked)) for asked in prompts} == {1}


async def test_without_a_worker_everybody_is_told_and_event_sources_wait(clusters: Clusters, gemini: Gemini) -> None:
    cluster = await clusters.start()
    asked = prompt("patient")
    async with User(cluster.any_url) as user:
        await user.chat(asked)
        await cluster.retire(cluster.workers[0])
        refused = await user.call("POST", "/chat", json={"message": "Anybody?"})
        refused.refused(503, "no_worker")
        assert int(refused.headers["Retry-After"]) > 0
        async with user.stream() as reader:
            await reader.when(lambda: len(reader.connections) >= 2)
            assert (reader.connections[0].status, reader.connections[0].raw[:7]) == (200, b"retry: ")
            await cluster.add_workers()
            await reader.until("done")
    assert reader.text == expected_answer(asked)


async def test_a_worker_that_was_killed_counts_as_gone_after_a_few_seconds(clusters: Clusters) -> None:
    cluster = await clusters.start()
    cluster.kill(cluster.workers[0])
    async with User(cluster.any_url) as user:

        async def refused() -> bool:
            return (await user.call("POST", "/chat", json={"message": "Anybody?"})).status == 503

        await found(refused, "the gateway to notice", 10.0)


async def test_a_worker_runs_no_more_turns_at_once_than_it_may(clusters: Clusters, gemini: Gemini) -> None:
    cluster = await clusters.start(worker={"WORKER_CONCURRENCY": "3"})
    prompts = [prompt(f"user {number}", "delay=0.02") for number in range(12)]
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for asked in prompts:
            user = await stack.enter_async_context(User(cluster.any_url))
            group.create_task(user.ask(asked))
        calls = [await gemini.ended(await gemini.call_about(asked), timeout=20) for asked in prompts]
    moments = sorted([(call.at, 1) for call in calls] + [(call.ended_at or 0.0, -1) for call in calls])
    at_once = [sum(step for _, step in moments[: index + 1]) for index in range(len(moments))]
    assert max(at_once) == 3


async def test_slow_readers_cost_no_memory_and_get_everything_in_the_end(clusters: Clusters, gemini: Gemini) -> None:
    """Eight readers stop reading an answer of 10 MB; it is done long before they go on."""
    cluster = await clusters.start(worker={"ANSWER_MAX_BYTES": str(64 * MIB)})
    [gateway] = cluster.gateways
    asked = prompt("huge", "chunks=500 pad=20000 hold=1")
    async with User(cluster.any_url) as user, AsyncExitStack() as stack:
        await user.chat(asked)
        readers = [stack.enter_context(_SlowReader(gateway.host, gateway.port, _cookie(user))) for _ in range(8)]
        for reader in readers:
            await asyncio.to_thread(reader.read_the_head)
        call = await gemini.call_about(asked, held=True)
        before = gateway.rss()
        await gemini.release()
        await gemini.ended(call, timeout=30)
        await found(lambda: _has_ended(user), "the turn to end", 30)
        flat = gateway.rss()
        answers = await asyncio.gather(*(asyncio.to_thread(reader.read_the_rest) for reader in readers))
        assert gateway.rss() < before + 24 * MIB

    assert flat < before + 24 * MIB, "they would hold 80 MB"
    assert text_of(parse(answers[0])) == expected_answer(asked)
    texts = {_without_retry(answer) for answer in answers}
    assert len(texts) == 1


async def _has_ended(user: User) -> bool:
    return (await user.session())["turn"] is None


def _cookie(user: User) -> str:
    return "; ".join(f"{cookie.key}={cookie.value}" for cookie in user.jar)


def _without_retry(stream: bytes) -> bytes:
    """Heartbeats and the jittered delay are each connection's own."""
    return b"\n\n".join(block for block in stream.split(b"\n\n") if not block.startswith((b"retry: ", b": ")))


class _SlowReader:
    """A client with the smallest of buffers that reads when told to."""

    def __init__(self, host: str, port: int, cookie: str) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.settimeout(30)
        self._socket.connect((host, port))
        self._socket.sendall(f"GET /stream HTTP/1.1\r\nHost: api\r\nCookie: {cookie}\r\n\r\n".encode())
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def read_the_head(self) -> None:
        assert self._file.readline().startswith(b"HTTP/1.1 200 ")
        while self._file.readline() != b"\r\n":
            pass

    def read_the_rest(self) -> bytes:
        """The body, with its chunks put together."""
        body = []
        while size := int(self._file.readline(), 16):
            body.append(self._file.read(size))
            self._file.readline()
        return b"".join(body)
