"""A gateway process on its own port: what only a real server and real sockets show."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from h2.connection import H2Connection

from gateway.state.connect import connect
from gateway.state.records import Claim
from tests.integration.gateway.state.scene import Scene
from tests.processes import Process, python, until
from tests.servers import RedisServer, free_port
from tests.tcp import connection, exchange, post

HOST = "127.0.0.1"
DEADLINE = 4.0


class Server:
    """One process with short times."""

    def __init__(self, directory: Path, redis: RedisServer, **settings: str) -> None:
        self.port = free_port()
        environ = {
            "REDIS_URL": redis.url,
            "PORT": str(self.port),
            "BODY_TIMEOUT": "0.5",
            "DRAIN_NOTICE_SECONDS": "0.3",
            "DRAIN_SECONDS": str(DEADLINE),
            "RETRY_MILLISECONDS": "100",
            "UPLOAD_MAX_BYTES": "100000",
            **settings,
        }
        self.process = Process("gateway", python("gateway"), directory / f"gateway-{self.port}.log", environ)

    async def call(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        head, body = await exchange(HOST, self.port, request)
        return (*read_head(head), body)

    async def ready(self) -> None:
        async def listening() -> bool:
            try:
                return (await self.call(b"GET /readyz HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n"))[0] == 200
            except OSError:
                return False

        for _ in range(500):
            if await listening():
                return
            assert self.process.running, self.process.output
            await asyncio.sleep(0.02)
        raise AssertionError(self.process.output)


def read_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode().split("\r\n")
    fields = (line.partition(": ") for line in lines)
    return int(first.split(" ")[1]), {name.lower(): value for name, _, value in fields}


@pytest.fixture
async def start(tmp_path: Path, valkey: RedisServer) -> AsyncIterator[Callable[..., object]]:
    made: list[Server] = []

    async def started(**settings: str) -> Server:
        server = Server(tmp_path, valkey, **settings)
        made.append(server)
        await server.ready()
        return server

    yield started
    for server in made:
        server.process.kill()


@pytest_asyncio.fixture
async def server(start: Callable[..., object]) -> Server:
    started: Server = await start()  # type: ignore[misc]
    return started


@asynccontextmanager
async def open_stream(
    server: Server, redis: RedisServer
) -> AsyncIterator[tuple[asyncio.StreamReader, Callable[[str], object]]]:
    """A stream of a turn that has just begun to be answered, and what makes its worker say more."""
    client = connect(redis.url, timeout=5)
    scene = Scene(client)
    await scene.beat()
    try:
        async with connection(HOST, server.port) as (reader, writer):
            body = json.dumps({"message": "hi"}).encode()
            writer.write(
                b"POST /chat HTTP/1.1\r\nHost: api\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            claim = await claimed(scene)
            said = 0

            async def say(text: str) -> None:
                nonlocal said
                said += 1
                await scene.say(claim, said, text)

            await say("first")
            await reader.readuntil(b"data: first\n\n")
            yield reader, say
    finally:
        await client.aclose()


async def claimed(scene: Scene) -> Claim:
    """The turn that has just begun. Its hint may be quicker than itself, and is then given again."""
    while True:
        ref = await scene.queue.pop(0.9)
        if ref is not None and await scene.turns.status(ref) is not None:
            return await scene.claim(ref)


async def ended(server: Server, began: float) -> float:
    """Seconds from ``began`` to the process's end, which was an orderly one."""
    assert await server.process.ended(DEADLINE + 3) == 0, server.process.output
    assert "Traceback" not in server.process.output, server.process.output
    return time.monotonic() - began


async def test_an_idle_gateway_ends_as_soon_as_the_balancer_has_noticed(server: Server) -> None:
    began = time.monotonic()
    server.process.terminate()
    assert 0.3 <= await ended(server, began) < 2


async def test_an_open_stream_is_told_to_come_back_and_does_not_hold_the_end(
    server: Server, valkey: RedisServer
) -> None:
    async with open_stream(server, valkey) as (reader, _):
        began = time.monotonic()
        server.process.terminate()
        rest = await reader.read()
        assert b"retry: " in rest
        assert rest.endswith(b"0\r\n\r\n"), "the stream ended whole"
        assert await ended(server, began) < DEADLINE


async def test_a_reader_who_reads_nothing_does_not_hold_the_end(server: Server, valkey: RedisServer) -> None:
    async with open_stream(server, valkey) as (_, say):
        for _ in range(40):
            await say("x" * 250_000)  # type: ignore[misc]
        began = time.monotonic()
        server.process.terminate()
        assert await ended(server, began) < DEADLINE + 1


async def test_a_request_in_flight_is_cut_off_with_an_answer_before_the_deadline(
    server: Server, valkey: RedisServer
) -> None:
    client = connect(valkey.url, timeout=5)
    scene = Scene(client)
    await scene.beat()
    asking = asyncio.ensure_future(server.call(post("/generate_text", {"prompt": "p"})))
    claim = await claimed(scene)
    began = time.monotonic()
    server.process.terminate()
    status, headers, body = await asking
    assert (status, json.loads(body)["error"]) == (503, "draining")
    assert "retry-after" in headers
    assert await scene.turns.check([claim]) == ["STOP"]
    assert await ended(server, began) < DEADLINE + 1
    await client.aclose()


async def test_further_signals_hurry(server: Server, valkey: RedisServer) -> None:
    client = connect(valkey.url, timeout=5)
    scene = Scene(client)
    await scene.beat()
    asking = asyncio.ensure_future(server.call(post("/generate_text", {"prompt": "p"})))
    assert await scene.queue.pop(0.9) is not None
    began = time.monotonic()
    for _ in range(3):
        server.process.terminate()
        await asyncio.sleep(0.05)
    assert (await asking)[0] == 503
    assert await ended(server, began) < DEADLINE / 2
    await client.aclose()


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_caller_whose_body_is_too_large_gets_to_read_why(server: Server, framing: str) -> None:
    async with connection(HOST, server.port) as (reader, writer):
        head = b"POST /chat HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\n"
        if framing == "length":
            writer.write(head + b"Content-Length: 20000000\r\n\r\n")
            piece = b"x" * 100_000
        else:
            writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
            piece = b"186a0\r\n" + b"x" * 100_000 + b"\r\n"
        for _ in range(200):
            writer.write(piece)
            await writer.drain()
        writer.write(b"" if framing == "length" else b"0\r\n\r\n")
        status, headers = read_head((await reader.readuntil(b"\r\n\r\n"))[:-4])
        assert status == 413
        assert headers["connection"] == "close"
        assert json.loads(await reader.read())["error"] == "too_large"


async def test_who_is_refused_and_asks_on_keeps_the_connection(start: Callable[..., Any]) -> None:
    server = await start(RATE_ADDRESS_REQUESTS="1/600", TRUSTED_PROXIES="1")
    head = b"POST /chat HTTP/1.1\r\nHost: api\r\nX-Forwarded-For: 192.0.2.77\r\nContent-Length: 2\r\n\r\n"
    async with connection(HOST, server.port) as (reader, writer):
        for status in (415, 429, 429, 429):
            writer.write(head)
            await asyncio.sleep(0.05)  # As clients do that send a head and a body each by itself.
            writer.write(b"{}")
            answered, headers = read_head((await reader.readuntil(b"\r\n\r\n"))[:-4])
            await reader.readexactly(int(headers["content-length"]))
            assert (answered, "connection" in headers) == (status, False)


async def test_a_slow_body_ends_with_408(server: Server) -> None:
    async with connection(HOST, server.port) as (reader, writer):
        writer.write(
            b"POST /chat HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
        )
        began = time.monotonic()
        status, _ = read_head((await reader.readuntil(b"\r\n\r\n"))[:-4])
        assert status == 408
        assert json.loads(await reader.read())["error"] == "request_timeout"
        assert time.monotonic() - began < 2


async def test_http_2_is_refused(server: Server) -> None:
    http2 = H2Connection()
    http2.initiate_connection()
    async with connection(HOST, server.port) as (reader, writer):
        writer.write(http2.data_to_send())
        assert (await reader.readline()).startswith(b"HTTP/1.1 505 ")


async def test_an_upgrade_to_http_2_is_passed_over(server: Server) -> None:
    status, headers, _ = await server.call(
        b"GET /session HTTP/1.1\r\nHost: api\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
    )
    assert (status, headers["content-type"]) == (200, "application/json")


async def test_requests_sent_ahead_are_answered_one_after_the_other(server: Server) -> None:
    request = b"GET / HTTP/1.1\r\nHost: api\r\n\r\n"
    async with connection(HOST, server.port) as (reader, writer):
        writer.write(request + request + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await reader.read()).count(b"HTTP/1.1 200 ") == 3


async def test_what_is_no_request_is_answered_and_the_connection_closed(server: Server) -> None:
    async with connection(HOST, server.port) as (reader, writer):
        writer.write(b"nonsense\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "request_line", [b"GET * HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET ?x HTTP/1.1", b"CONNECT api:443 HTTP/1.1"]
)
async def test_a_target_that_is_no_path_is_refused(server: Server, request_line: bytes) -> None:
    status, _, body = await server.call(request_line + b"\r\nHost: api\r\nConnection: close\r\n\r\n")
    assert status in (400, 404, 405)
    assert b"Traceback" not in body
    assert "request_broken" not in server.process.output


async def test_a_head_of_unbounded_size_is_refused(server: Server) -> None:
    status, _, _ = await server.call(b"GET / HTTP/1.1\r\nHost: api\r\nCookie: " + b"x" * 100_000)
    assert status == 431


async def test_a_port_in_use_is_told_in_one_line(server: Server, tmp_path: Path, valkey: RedisServer) -> None:
    environ = {"REDIS_URL": valkey.url, "PORT": str(server.port)}
    second = Process("second", python("gateway"), tmp_path / "second.log", environ)
    try:
        assert await second.ended() == 2
    finally:
        second.kill()
    last = second.output.strip().splitlines()[-1]
    assert last.startswith("HOST, PORT: cannot listen on ")
    assert "Traceback" not in second.output


async def test_every_line_of_the_log_is_json_where_that_is_asked_for(start: Callable[..., object]) -> None:
    server: Server = await start(LOG_FORMAT="json")  # type: ignore[misc]
    await server.call(b"GET /nowhere?secret=1 HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
    await until(lambda: "/nowhere" in server.process.output, "the request's line")
    lines = [json.loads(line) for line in server.process.output.splitlines()]
    [request] = [line for line in lines if line.get("path") == "/nowhere"]
    assert (request["event"], request["method"], request["status"]) == ("request", "GET", 404)
    assert "request_id" in request
    assert "secret" not in server.process.output
