"""What is long goes out in pieces, and arrives whole or not at all."""

import asyncio
import os
from collections.abc import Callable

import pytest
import uvloop
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway.state.connect import connect
from gateway.state.pieces import PIECE
from tests.servers import RedisServer

LONG = 40 * PIECE


async def test_others_come_in_between_the_pieces_of_a_long_command(valkey: RedisServer) -> None:
    redis, content, turns = connect(valkey.url), os.urandom(LONG), 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    await redis.apart.ping()
    async with asyncio.TaskGroup() as tasks:
        counting = tasks.create_task(others())
        connection = await redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        await connection.send_command("SET", "long", content)
        between = turns
        assert await connection.read_response() == b"OK"
        counting.cancel()
    await redis.connection_pool.release(connection)
    assert between >= LONG / PIECE
    assert await redis.apart.get("long") == content
    await redis.aclose()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_is_sent_over_a_connection_that_was_lost_is_told_as_lost(
    valkey: RedisServer, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def send_after_the_end() -> None:
        redis = connect(valkey.url)
        connection = await redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        connection._writer.transport.abort()
        await connection._writer.wait_closed()
        with pytest.raises(RedisConnectionError):
            await connection.send_command("PING")
        assert not connection.is_connected
        await redis.connection_pool.release(connection)
        await redis.aclose()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(send_after_the_end())


class Server:
    """Takes in ``takes`` bytes of each connection, and then reads no more or hangs up."""

    def __init__(self, takes: int, *, hangs_up: bool) -> None:
        self.heard: list[bytes] = []
        self.full = asyncio.Event()
        self._takes = takes
        self._hangs_up = hangs_up
        self._over = asyncio.Event()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2 * PIECE)
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.heard)
        self.heard.append(b"")
        while len(self.heard[number]) < self._takes and (data := await reader.read(PIECE)):
            self.heard[number] += data
            # Whatever the handshake asks.
            writer.write(b"+OK\r\n" * data.count(b"CLIENT\r\n"))
        self.full.set()
        if not self._hangs_up:
            await self._over.wait()
        writer.transport.abort()


async def test_the_rest_of_a_command_never_begins_another_connection() -> None:
    server = Server(3 * PIECE, hangs_up=True)
    async with server as url:
        redis = connect(url)
        with pytest.raises(RedisConnectionError):
            await redis.apart.set("long", b"x" * LONG)
        await redis.aclose()
    assert len(server.heard) > 1
    assert all(heard.startswith(b"*") for heard in server.heard)


async def test_a_server_that_reads_no_further_costs_the_patience_once() -> None:
    server = Server(3 * PIECE, hangs_up=False)
    async with server as url:
        redis = connect(url, timeout=0.3)
        with pytest.raises(RedisTimeoutError):
            await redis.apart.set("long", b"x" * 400 * PIECE)
        await redis.aclose()
    assert len(server.heard) == 1
