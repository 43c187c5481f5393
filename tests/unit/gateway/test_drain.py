"""The order of a replica's end, on a clock that leaps."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from gateway.drain import Drain, DrainTimes, Traffic
from gateway.guards.body import Message, Receive, Scope, Send
from tests.instant import run_instantly

TIMES = DrainTimes(notice=5, deadline=25)


class Replica:
    """A drain and its traffic, with a log of what happened when."""

    def __init__(self) -> None:
        self.happened: list[tuple[str, float]] = []
        self.traffic = Traffic(self._handle)
        self.drain = Drain(TIMES, self.traffic, lambda: self.note("streams end"))
        self.sent: list[Message] = []
        self.began = asyncio.Event()
        self.handler = asyncio.Event()

    def note(self, what: str) -> None:
        self.happened.append((what, round(asyncio.get_running_loop().time(), 1)))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            await self.drain.run()
            self.note("end")

    async def request(self) -> None:
        async def receive() -> Message:
            await asyncio.sleep(1000)
            raise AssertionError("nobody hangs up by himself")

        async def send(message: Message) -> None:
            self.sent.append(message)

        await self.traffic({"type": "http"}, receive, send)
        self.note("request over")

    async def _watch(self) -> None:
        await self.drain.closing.wait()
        self.note("closing")

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.began.set()
        await self.handler.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})


def played(scene: Coroutine[Any, Any, Replica]) -> Replica:
    return run_instantly(scene)


def test_it_serves_on_then_ends_streams_then_requests_then_itself() -> None:
    async def scene() -> Replica:
        replica = Replica()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(replica.run())
            tasks.create_task(replica.request())
            await replica.began.wait()
            replica.drain.begin()
            assert replica.drain.begun
        return replica

    replica = played(scene())
    assert replica.happened == [("streams end", 5), ("closing", 5), ("request over", 23), ("end", 25)]
    start, body = replica.sent
    assert start["status"] == 503
    assert (b"retry-after", b"1") in start["headers"]
    assert b'"draining"' in body["body"]


def test_a_request_that_ends_by_itself_is_answered_and_its_connection_closed() -> None:
    async def scene() -> Replica:
        replica = Replica()
        async with asyncio.TaskGroup() as tasks:
            draining = tasks.create_task(replica.run())
            tasks.create_task(replica.request())
            await replica.began.wait()
            assert replica.traffic.open == 1
            replica.drain.begin()
            await asyncio.sleep(1)
            replica.handler.set()
            await asyncio.sleep(1)
            assert replica.traffic.open == 0
            draining.cancel()
        return replica

    replica = played(scene())
    assert replica.happened == [("request over", 1)]
    assert replica.sent[0]["headers"] == [(b"connection", b"close")]


@pytest.mark.parametrize(
    ("signals", "happened"),
    [
        (2, [("streams end", 1), ("closing", 1), ("end", 25)]),
        (3, [("streams end", 1), ("closing", 1), ("end", 25)]),
        (4, [("streams end", 1), ("closing", 1), ("end", 3)]),
    ],
)
def test_each_further_signal_hurries_it_on(signals: int, happened: list[tuple[str, float]]) -> None:
    async def scene() -> Replica:
        replica = Replica()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(replica.run())
            await asyncio.sleep(0)
            for _ in range(signals):
                replica.drain.begin()
                await asyncio.sleep(1)
        return replica

    assert played(scene()).happened == happened


def test_a_request_that_arrives_after_the_last_call_is_sent_away() -> None:
    async def scene() -> Replica:
        replica = Replica()
        replica.traffic.cut()
        await replica.request()
        return replica

    assert played(scene()).sent[0]["status"] == 503


def test_a_request_that_others_cancel_stays_cancelled() -> None:
    async def scene() -> Replica:
        replica = Replica()
        request = asyncio.ensure_future(replica.request())
        await replica.began.wait()
        replica.traffic.cut()
        request.cancel()
        await asyncio.wait({request})
        assert request.cancelled()
        return replica

    assert played(scene()).sent == []


def test_the_task_of_a_request_that_was_cut_goes_on() -> None:
    async def scene() -> Replica:
        replica = Replica()
        request = asyncio.ensure_future(replica.request())
        await replica.began.wait()
        replica.traffic.cut()
        await request
        assert request.cancelling() == 0
        return replica

    assert played(scene()).sent[0]["status"] == 503
