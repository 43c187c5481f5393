"""One request and its answer, between the server and Quart."""

import asyncio
from collections.abc import Callable

import pytest
from quart import Quart, Response, request

from gateway.exchange import EventStream, entrance
from gateway.extensions import MAILBOX, PIPE
from gateway.guards.body import Message, Scope
from gateway.streaming.stream import Outlet
from tests.outlet import Written


class Caller:
    """One who asks, and hangs up when told to."""

    def __init__(self, path: str, body: bytes = b"") -> None:
        headers = [(b"host", b"api"), (b"content-length", b"%d" % len(body))]
        self.scope: Scope = {
            "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
            "client": ("127.0.0.1", 1), "server": None, "extensions": {},
        }  # fmt: skip
        self.gone = asyncio.Event()
        self.answer: list[Message] = []
        self._pieces = [body[:3], body[3:]]

    async def receive(self) -> Message:
        if self._pieces:
            piece = self._pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.answer.append(dict(message))

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.answer[1:])

    @property
    def whole(self) -> bool:
        """The answer came to its end."""
        return bool(self.answer) and self.answer[-1].get("more_body") is False


class Arrived:
    """The mailbox of a server that has the whole request, and keeps what is to be called when the caller goes."""

    whole = True

    def __init__(self, calls: list[Callable[[], None]]) -> None:
        self._calls = calls

    def on_disconnect(self, call: Callable[[], None]) -> bool:
        self._calls.append(call)
        return True


class Routes:
    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.goes_on = asyncio.Event()
        self.cancelled = False
        app = Quart("routes")
        app.add_url_rule("/echo", "echo", self.echo, methods=["POST"])
        app.add_url_rule("/slow", "slow", self.slow, methods=["POST"])
        app.add_url_rule("/stream", "stream", self.stream, methods=["POST"])
        self.app = entrance(app)

    async def ask(self, caller: Caller) -> None:
        await self.app(caller.scope, caller.receive, caller.send)

    async def echo(self) -> Response:
        return Response(await request.get_data(as_text=False))

    async def slow(self) -> Response:
        return Response(await self._until_it_goes_on())

    async def stream(self) -> EventStream:
        async def body(outlet: Outlet) -> None:
            await outlet.write(b"first")
            outlet.write_now(b"at once")  # Where a server offers that.
            await outlet.write(await self._until_it_goes_on())

        return EventStream(body, {"X-Turn-Id": "t"}, "text/event-stream")

    async def _until_it_goes_on(self) -> bytes:
        self.begun.set()
        try:
            await self.goes_on.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return b"done"


async def test_a_route_has_its_body_and_answers() -> None:
    caller = Caller("/echo", b"a message")
    await Routes().ask(caller)
    assert (caller.answer[0]["status"], caller.body, caller.whole) == (200, b"a message", True)


async def test_what_stands_before_the_app_s_own_paths_is_left_out() -> None:
    caller = Caller("/chat/echo", b"a message")
    caller.scope["root_path"] = "/chat"
    await Routes().ask(caller)
    assert (caller.answer[0]["status"], caller.body) == (200, b"a message")


async def test_a_stream_is_written_piece_by_piece() -> None:
    routes, caller = Routes(), Caller("/stream")
    asking = asyncio.ensure_future(routes.ask(caller))
    await routes.begun.wait()
    assert (caller.body, caller.whole) == (b"first", False)
    assert (b"x-turn-id", b"t") in caller.answer[0]["headers"]
    routes.goes_on.set()
    await asking
    assert (caller.body, caller.whole) == (b"firstdone", True)


async def test_all_but_the_end_of_a_stream_goes_the_short_way_that_a_server_offers() -> None:
    routes, caller = Routes(), Caller("/stream")
    pipe = Written()

    async def send(message: Message) -> None:
        await caller.send(message)
        caller.scope["extensions"] = {PIPE: pipe}

    routes.goes_on.set()
    await routes.app(caller.scope, caller.receive, send)
    assert (pipe.pieces, pipe.pushed) == ([b"first", b"at once", b"done"], 1)
    assert (caller.body, caller.whole) == (b"", True)


@pytest.mark.parametrize("path", ["/slow", "/stream"])
async def test_a_caller_who_hangs_up_ends_it_and_not_its_task(path: str) -> None:
    routes, caller = Routes(), Caller(path)
    asking = asyncio.ensure_future(routes.ask(caller))
    await routes.begun.wait()
    caller.gone.set()
    await asking
    assert routes.cancelled
    assert asking.cancelling() == 0
    assert not caller.whole


@pytest.mark.parametrize("path", ["/slow", "/stream"])
async def test_whoever_else_cancels_it_cancels_its_task(path: str) -> None:
    routes, caller = Routes(), Caller(path)
    asking = asyncio.ensure_future(routes.ask(caller))
    await routes.begun.wait()
    asking.cancel()
    caller.gone.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert routes.cancelled


async def test_a_caller_who_is_gone_when_the_answer_is_whole_disturbs_nothing() -> None:
    caller = Caller("/echo", b"x")
    send = caller.send

    async def send_and_go(message: Message) -> None:
        await send(message)
        if caller.whole:
            caller.gone.set()

    await Routes().app(caller.scope, caller.receive, send_and_go)
    await asyncio.sleep(0)
    assert caller.whole


async def test_a_stream_does_not_hold_the_head_of_its_request() -> None:
    routes, caller = Routes(), Caller("/stream")
    asking = asyncio.ensure_future(routes.ask(caller))
    await routes.begun.wait()
    assert caller.scope["headers"] == []
    routes.goes_on.set()
    await asking


async def test_a_server_that_calls_when_the_caller_goes_is_not_listened_to() -> None:
    routes, caller = Routes(), Caller("/stream")
    calls: list[Callable[[], None]] = []

    caller.scope["extensions"] = {MAILBOX: Arrived(calls)}
    asking = asyncio.ensure_future(routes.ask(caller))
    await routes.begun.wait()
    caller.gone.set()
    await asyncio.sleep(0.01)
    assert not asking.done()
    calls[0]()
    await asking
    assert routes.cancelled
    calls[0]()
    assert asking.cancelling() == 0


async def test_a_body_that_has_arrived_is_read_where_nobody_listens() -> None:
    calls: list[Callable[[], None]] = []
    caller = Caller("/echo", b"a message")
    caller.scope["extensions"] = {MAILBOX: Arrived(calls)}
    await Routes().ask(caller)
    assert (caller.body, caller.whole, len(calls)) == (b"a message", True, 1)


@pytest.mark.parametrize("path", ["/echo", "/stream"])
async def test_a_server_that_calls_when_the_answer_is_whole_disturbs_nothing(path: str) -> None:
    routes, caller = Routes(), Caller(path)
    calls: list[Callable[[], None]] = []

    async def send(message: Message) -> None:
        await caller.send(message)
        if caller.whole:
            calls[0]()

    caller.scope["extensions"] = {MAILBOX: Arrived(calls)}
    routes.goes_on.set()
    asking = asyncio.ensure_future(routes.app(caller.scope, caller.receive, send))
    await asking
    assert caller.whole
    assert calls
    assert (asking.cancelled(), asking.cancelling()) == (False, 0)
