"""What stands between the event loop and Hypercorn's HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypercorn.config import Config
from structlog.testing import capture_logs

from gateway.connections import Connection
from gateway.extensions import PIPE
from gateway.guards.body import ASGIApp, Receive, Scope, Send
from gateway.server import Server
from tests.instant import run_instantly


class Wire(asyncio.Transport):
    """A caller's end: what he is sent, piece by piece."""

    def __init__(self) -> None:
        super().__init__({"peername": ("10.0.0.1", 1), "sockname": ("10.0.0.2", 2)})
        self.pieces: list[bytes] = []
        self.closed = False
        self.aborted = False
        self.ended = False
        self._paused = False
        self.backlog = 0

    def get_write_buffer_size(self) -> int:
        return self.backlog

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed, "uvloop raises then"
        assert not self.ended, "and then"
        if data:
            self.pieces.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def write_eof(self) -> None:
        self.ended = True
        self.pieces.append(b"")

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False

    def makes_wait(self) -> bool:
        return self._paused


class Tasks(Server):
    """A server without a socket."""

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[Connection, Wire]]:
        async with self._tasks:
            clock = self._tasks.create_task(self._keep_time())
            connection, wire = Connection(self), Wire()
            connection.connection_made(wire)
            yield connection, wire
            clock.cancel()
            wire.close()
            connection.connection_lost(None)


def receive(connection: Connection, data: bytes) -> None:
    """As an event loop has it: in pieces no larger than the buffer."""
    while data:
        buffer = connection.get_buffer(-1)
        size = min(len(data), len(buffer))
        buffer[:size] = data[:size]
        data = data[size:]
        connection.buffer_updated(size)


GET = b"GET / HTTP/1.1\r\nHost: api\r\n\r\n"
OK: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]}
HEAD = b"HTTP/1.1 200 \r\ncontent-length: 4\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n"
SETTLED = 0.01


def served(app: ASGIApp) -> Tasks:
    config = Config()
    config.include_server_header = config.include_date_header = False
    config.keep_alive_timeout = 20.0
    return Tasks(app, config)


async def body(send: Send, *pieces: bytes) -> None:
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def brief(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send(OK)
    await send({"type": "http.response.body", "body": b"body", "more_body": False})


def test_an_answer_goes_out_in_one_piece() -> None:
    async def main() -> None:
        async with served(brief).connected() as (connection, wire):
            receive(connection, GET)
            await asyncio.sleep(SETTLED)
            assert wire.pieces == [HEAD + b"body"]
            receive(connection, GET)
            await asyncio.sleep(SETTLED)
            assert wire.pieces == [HEAD + b"body"] * 2

    run_instantly(main())


def test_the_head_of_a_stream_goes_out_with_its_beginning() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({**OK, "headers": []})
        await body(send, b"first", b"second")

    async def main() -> None:
        async with served(app).connected() as (connection, wire):
            receive(connection, GET)
            await asyncio.sleep(SETTLED)
            assert wire.pieces == [CHUNKED + b"5\r\nfirst\r\n", b"6\r\nsecond\r\n", b"0\r\n\r\n"]

    run_instantly(main())


def test_the_pieces_of_a_stream_may_take_the_short_way() -> None:
    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        assert PIPE not in scope["extensions"]
        await send({**OK, "headers": []})
        for piece in (b"first", b"", b"s" * 300):
            await scope["extensions"][PIPE].write(piece)
        await send({"type": "http.response.body", "body": b"last", "more_body": False})

    async def main() -> None:
        async with served(app).connected() as (connection, wire):
            for _ in range(2):
                wire.pieces.clear()
                receive(connection, GET)
                await asyncio.sleep(SETTLED)
                first, second, last = wire.pieces
                assert first == CHUNKED + b"5\r\nfirst\r\n"
                assert second == b"12c\r\n" + b"s" * 300 + b"\r\n"
                assert last == b"4\r\nlast\r\n0\r\n\r\n"

    run_instantly(main())


def test_a_piece_that_the_caller_can_take_needs_no_waiting() -> None:
    taken = []

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await send({**OK, "headers": []})
        pipe = scope["extensions"][PIPE]
        taken.append(pipe.write_now(b"too early"))  # The head has not been sent.
        await pipe.write(b"first")
        taken.append(pipe.write_now(b"second"))
        taken.append(pipe.write_now(b""))  # An empty one would be the last.
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def main() -> None:
        async with served(app).connected() as (connection, wire):
            receive(connection, GET)
            await asyncio.sleep(SETTLED)
            assert wire.pieces == [CHUNKED + b"5\r\nfirst\r\n", b"6\r\nsecond\r\n", b"0\r\n\r\n"]

    run_instantly(main())
    assert taken == [False, True, False]


@pytest.mark.parametrize("trouble", ["slow", "gone"])
def test_nothing_is_written_at_once_to_a_caller_who_cannot_take_it(trouble: str) -> None:
    taken = []

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await send({**OK, "headers": []})
        await scope["extensions"][PIPE].write(b"first")
        await asyncio.sleep(5)
        taken.append(scope["extensions"][PIPE].write_now(b"second"))

    async def main() -> None:
        async with served(app).connected() as (connection, wire):
            receive(connection, GET)
            await asyncio.sleep(1)
            if trouble == "slow":
                connection.pause_writing()
            else:
                wire.closed = True
            await asyncio.sleep(10)
            assert wire.pieces[0] == CHUNKED + b"5\r\nfirst\r\n"
            assert b"second" not in b"".join(wire.pieces)
            connection.resume_writing()

    run_instantly(main())
    assert taken == [False]


@pytest.mark.parametrize(
    ("request_line", "head"),
    [
        (b"GET / HTTP/1.0", {"headers": []}),
        (b"HEAD / HTTP/1.1", {"headers": []}),
        (b"GET / HTTP/1.1", {"headers": [(b"Content-Length", b"0")]}),
        (b"GET / HTTP/1.1", {"headers": [], "status": 304}),
    ],
)
def test_what_is_not_sent_in_chunks_has_no_short_way(request_line: bytes, head: dict[str, Any]) -> None:
    offered = []

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await send({**OK, **head})
        offered.append(PIPE in scope["extensions"])
        await body(send)

    async def main() -> None:
        async with served(app).connected() as (connection, _):
            receive(connection, request_line + b"\r\nHost: api\r\n\r\n")
            await asyncio.sleep(SETTLED)

    run_instantly(main())
    assert offered == [False]


def test_who_takes_the_short_way_is_told_that_the_caller_has_gone() -> None:
    told = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({**OK, "headers": []})
        await scope["extensions"][PIPE].write(b"first")
        await asyncio.sleep(5)
        await scope["extensions"][PIPE].write(b"second")
        told.append((await receive())["type"])

    async def main() -> None:
        async with served(app).connected() as (connection, wire):
            receive(connection, GET)
            await asyncio.sleep(1)
            wire.closed = True
            await asyncio.sleep(10)

    run_instantly(main())
    assert told == ["http.disconnect"]


@pytest.mark.parametrize("way", ["long", "short"])
def test_who_writes_waits_for_a_slow_reader(way: str) -> None:
    written: list[bytes] = []

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await send({**OK, "headers": []})
        for piece in (b"first", b"second"):
            if way == "short":
                await scope["extensions"][PIPE].write(piece)
            else:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            written.append(piece)

    async def main() -> None:
        async with served(app).connected() as (connection, _):
            connection.pause_writing()
            receive(connection, GET)
            await asyncio.sleep(SETTLED)
            assert written == []
            connection.resume_writing()
            await asyncio.sleep(SETTLED)
            assert written == [b"first", b"second"]

    run_instantly(main())


def test_a_caller_who_takes_nothing_for_minutes_is_let_go() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({**OK, "headers": []})
        await body(send, b"first", b"second")

    async def main() -> None:
        async with served(app).connected() as (connection, wire):
            wire.backlog = 100_000
            connection.pause_writing()
            receive(connection, GET)
            for _ in range(3):
                await asyncio.sleep(100)
                assert not wire.aborted
                wire.backlog -= 1
            await asyncio.sleep(119)
            assert not wire.aborted
            await asyncio.sleep(3)
            assert wire.aborted

    run_instantly(main())


def test_who_never_takes_the_end_of_an_answer_is_let_go() -> None:
    async def main() -> None:
        async with served(brief).connected() as (connection, wire):
            wire.backlog = 1_000
            receive(connection, GET)
            await asyncio.sleep(100)
            assert (wire.closed, wire.aborted) == (True, False)
            await asyncio.sleep(100)
            assert wire.aborted

    run_instantly(main())


def test_a_caller_waits_for_a_slow_app() -> None:
    taking = asyncio.Event()
    taken = 0

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal taken
        await taking.wait()
        while taken < 4_000_000:
            taken += len((await receive())["body"])
        await brief(_scope, receive, send)

    async def main() -> None:
        async with served(app).connected() as (connection, wire):
            receive(connection, b"POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 4000000\r\n\r\n")
            sent = 0
            while not wire.makes_wait():
                receive(connection, b"x" * 100_000)
                sent += 100_000
                await asyncio.sleep(SETTLED)
            assert sent < 1_500_000
            taking.set()
            await asyncio.sleep(SETTLED)
            assert not wire.makes_wait()
            receive(connection, b"x" * (4_000_000 - sent))
            await asyncio.sleep(SETTLED)
            assert (taken, wire.makes_wait(), wire.pieces) == (4_000_000, False, [HEAD + b"body"])

    run_instantly(main())


def test_a_connection_without_a_request_is_closed_in_the_end() -> None:
    async def main() -> None:
        async with served(brief).connected() as (connection, wire):
            await asyncio.sleep(19)
            receive(connection, GET)
            await asyncio.sleep(19)
            receive(connection, GET[:10])
            assert not wire.closed
            await asyncio.sleep(2)
            assert wire.closed

    run_instantly(main())


def test_a_connection_that_answers_is_not() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await asyncio.sleep(100)
        await brief(_scope, _receive, send)

    async def main() -> None:
        async with served(app).connected() as (connection, wire):
            receive(connection, GET)
            await asyncio.sleep(99)
            connection.close_if_idle()
            assert not wire.closed
            await asyncio.sleep(2)
            assert wire.pieces == [HEAD + b"body"]
            connection.close_if_idle()
            assert wire.closed

    run_instantly(main())


def test_an_app_is_told_that_its_caller_has_gone() -> None:
    told: list[str] = []

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        while not told or told[-1] != "http.disconnect":
            told.append((await receive())["type"])

    async def main() -> None:
        async with served(app).connected() as (connection, wire):
            receive(connection, GET)
            await asyncio.sleep(SETTLED)
            assert told == ["http.request"]
            connection.eof_received()
            await asyncio.sleep(SETTLED)
            assert told == ["http.request", "http.disconnect"]
            assert wire.closed

    run_instantly(main())


def test_a_caller_who_is_lost_before_he_is_answered_is_let_go_quietly() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(1)
        await brief(scope, receive, send)

    async def main() -> None:
        with capture_logs() as logged:
            async with served(app).connected() as (connection, wire):
                receive(connection, GET)
                await asyncio.sleep(SETTLED)
                wire.close()
                connection.connection_lost(None)
                await asyncio.sleep(2)
                assert wire.pieces == []
        assert logged == []

    run_instantly(main())


def test_a_caller_who_goes_between_two_requests_is_let_go_at_once() -> None:
    async def main() -> None:
        async with served(brief).connected() as (connection, wire):
            receive(connection, GET)
            await asyncio.sleep(SETTLED)
            connection.eof_received()
            await asyncio.sleep(SETTLED)
            assert wire.closed

    run_instantly(main())


def test_what_is_no_http_is_taken_in_also_where_its_caller_had_to_wait() -> None:
    going_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await going_on.wait()
        await brief(scope, receive, send)

    async def main() -> None:
        async with served(app).connected() as (connection, wire):
            receive(connection, GET + b"nonsense\r\n\r\n")
            await asyncio.sleep(SETTLED)
            receive(connection, b"x" * 100_000)
            assert wire.makes_wait()
            going_on.set()
            await asyncio.sleep(SETTLED)
            assert wire.ended
            assert not wire.makes_wait()

    run_instantly(main())


@pytest.mark.parametrize("goes", [True, False])
def test_who_speaks_no_http_may_read_the_answer_before_it_is_closed(goes: bool) -> None:
    async def main() -> None:
        async with served(brief).connected() as (connection, wire):
            for _ in range(3):
                receive(connection, b"nonsense\r\n\r\n")
                await asyncio.sleep(SETTLED)
            [answer, end] = wire.pieces
            assert (answer[:12], end, wire.closed) == (b"HTTP/1.1 400", b"", False)
            if goes:
                connection.eof_received()
            await asyncio.sleep(SETTLED if goes else 3)
            assert wire.closed

    run_instantly(main())


def test_an_app_that_breaks_is_an_answer_and_harms_nobody_else() -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("broken")

    async def main() -> None:
        server = served(app)
        async with server.connected() as (connection, wire):
            receive(connection, GET)
            await asyncio.sleep(SETTLED)
            assert wire.pieces[0].startswith(b"HTTP/1.1 500 ")
            server.app = brief
            another, its_wire = Connection(server), Wire()
            another.connection_made(its_wire)
            receive(another, GET)
            await asyncio.sleep(SETTLED)
            assert its_wire.pieces == [HEAD + b"body"]

    run_instantly(main())


def test_who_comes_when_all_is_over_is_not_answered() -> None:
    async def main() -> None:
        server, closing, wire = served(brief), asyncio.Event(), Wire()
        server.config.bind = ["127.0.0.1:0"]
        closing.set()
        await server.run(closing)
        connection = Connection(server)
        connection.connection_made(wire)
        receive(connection, GET)
        await asyncio.sleep(SETTLED)
        assert wire.pieces == []

    run_instantly(main())
