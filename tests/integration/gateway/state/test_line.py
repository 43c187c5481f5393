"""Many tasks, one connection: each gets its own answer, whatever happens to the others and to the connection."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway.state.client import LineClient, ask_and_wait
from gateway.state.connect import connect
from tests.servers import RedisServer

PATIENCE = 0.5


class Notes:
    """A meter that writes down what it is told."""

    def __init__(self) -> None:
        self.trips: list[float] = []
        self.events: list[str] = []

    def round_trip(self, seconds: float) -> None:
        self.trips.append(seconds)

    def connected(self) -> None:
        self.events.append("connected")

    def lost(self) -> None:
        self.events.append("lost")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path, unix=True) as server:
        yield server


@pytest.fixture(params=["tcp", "unix"])
async def redis(request: pytest.FixtureRequest, server: RedisServer) -> AsyncIterator[LineClient]:
    client = connect(server.unix_url if request.param == "unix" else server.url, timeout=PATIENCE)
    yield client
    await client.aclose()


@pytest.fixture
def notes(redis: LineClient) -> Notes:
    notes = Notes()
    redis.line.meter = notes
    return notes


async def connections(server: RedisServer) -> int:
    """As the server sees them, without the one that asks."""
    async with server.client() as asking:
        info: Any = await asking.info("clients")
    return int(info["connected_clients"]) - 1


async def test_all_share_one_connection_and_each_gets_its_own_answer(redis: LineClient, server: RedisServer) -> None:
    texts = [f"{n}-" + "x" * (n * 997 % 70_000) for n in range(300)]
    assert await asyncio.gather(*(redis.echo(text) for text in texts)) == [text.encode() for text in texts]
    assert await connections(server) == 1


async def test_answers_are_shaped_as_redis_py_shapes_them(redis: LineClient) -> None:
    await redis.xadd("log", {"f": "one"}, id="1-1")
    await redis.zadd("line", {"a": 1, "b": 2})
    assert await redis.xrange("log") == [(b"1-1", {b"f": b"one"})]
    async with redis.pipeline(transaction=False) as pipe:
        pipe.zrange("line", 0, -1, withscores=True)
        pipe.zrem("line", "a")
        pipe.config_get("appendonly")
        assert await pipe.execute() == [[(b"a", 1.0), (b"b", 2.0)], 1, {"appendonly": "no"}]
        assert await pipe.execute() == []


async def test_a_refusal_reaches_only_who_asked_for_it(redis: LineClient) -> None:
    await redis.set("text", "x")
    good, refused, other = await asyncio.gather(
        redis.echo("a"), redis.lpush("text", "y"), redis.echo("b"), return_exceptions=True
    )
    assert (good, other) == (b"a", b"b")
    assert isinstance(refused, ResponseError)
    async with redis.pipeline(transaction=False) as pipe:
        pipe.lpush("text", "y")
        pipe.get("text")
        refused, good = await pipe.execute(raise_on_error=False)
        assert isinstance(refused, ResponseError)
        assert good == b"x"
        pipe.lpush("text", "y")
        with pytest.raises(ResponseError):
            await pipe.execute()


async def test_the_answer_to_a_cancelled_question_reaches_nobody(redis: LineClient, server: RedisServer) -> None:
    await redis.ping()
    server.freeze()
    cancelled = asyncio.ensure_future(redis.echo("forgotten"))
    await asyncio.sleep(0)
    cancelled.cancel()
    asked = asyncio.ensure_future(redis.echo("mine"))
    await asyncio.wait([cancelled])
    server.thaw()
    assert await asked == b"mine"
    assert cancelled.cancelled()


async def test_a_command_that_blocks_holds_nobody_up(redis: LineClient, server: RedisServer) -> None:
    popping = asyncio.ensure_future(ask_and_wait(redis, ("BZPOPMIN", "line", 0.3)))
    while await connections(server) < 1:
        await asyncio.sleep(0)
    assert await redis.echo("meanwhile") == b"meanwhile"
    assert not popping.done()
    assert await popping is None


async def test_one_connection_is_enough_for_all_commands_that_block(redis: LineClient, server: RedisServer) -> None:
    for name in ("cat", "dog"):
        popping = asyncio.ensure_future(ask_and_wait(redis, ("BZPOPMIN", "line", 0.4)))
        await redis.zadd("line", {name: 1})
        assert (await popping)[1] == name.encode()
    assert await connections(server) == 2


async def test_a_command_that_blocks_is_given_up_when_the_server_is_silent(
    redis: LineClient, server: RedisServer
) -> None:
    assert await ask_and_wait(redis, ("BZPOPMIN", "line", 0.01)) is None
    server.freeze()
    with pytest.raises(RedisTimeoutError):
        await ask_and_wait(redis, ("BZPOPMIN", "line", 0.01))
    server.thaw()
    await redis.zadd("other line", {"cat": 1})
    assert (await ask_and_wait(redis, ("BZPOPMIN", "other line", 0.01)))[1] == b"cat"


async def test_what_a_server_refuses_to_one_who_waits_is_an_error(redis: LineClient) -> None:
    await redis.set("line", "no line")
    with pytest.raises(ResponseError):
        await ask_and_wait(redis, ("BZPOPMIN", "line", 0.1))


async def test_a_silent_server_fails_all_who_wait_and_nothing_is_sent_again(
    redis: LineClient, server: RedisServer, notes: Notes
) -> None:
    await redis.set("count", 0)
    server.freeze()
    results = await asyncio.gather(*(redis.incr("count") for _ in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [RedisTimeoutError] * 5
    server.thaw()
    assert int(await redis.get("count") or 0) <= 5
    assert notes.events == ["connected", "lost", "connected"]


async def test_what_a_broken_connection_left_is_asked_again_once(
    redis: LineClient, server: RedisServer, notes: Notes
) -> None:
    await redis.ping()
    server.freeze()
    waiting = asyncio.gather(*(redis.echo(f"{n}") for n in range(20)))
    await asyncio.sleep(0)
    server.kill()
    server.start()
    assert await waiting == [b"%d" % n for n in range(20)]
    assert notes.events[:2] == ["connected", "lost"]
    assert notes.events[-1] == "connected"
    assert notes.trips


async def test_all_who_find_the_server_away_wait_for_one_attempt(unused_tcp_port: int) -> None:
    calls = 0

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", unused_tcp_port):
        redis = connect(f"redis://127.0.0.1:{unused_tcp_port}", timeout=PATIENCE)
        results = await asyncio.gather(*(redis.echo("x") for _ in range(50)), return_exceptions=True)
        assert {type(result) for result in results} == {RedisConnectionError}
        await redis.aclose()
    assert calls <= 4, "two attempts, each repeated once by the handshake"


async def test_who_is_cancelled_while_connecting_takes_nobody_along(redis: LineClient, server: RedisServer) -> None:
    server.freeze()
    first, second = asyncio.ensure_future(redis.echo("first")), asyncio.ensure_future(redis.echo("second"))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    server.thaw()
    assert await second == b"second"


async def test_a_server_that_became_a_replica_is_left_for_whom_its_name_leads_to(
    redis: LineClient, server: RedisServer, notes: Notes
) -> None:
    await redis.ping()
    await redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(ReadOnlyError):
        await redis.set("x", "y")
    await redis.execute_command("REPLICAOF", "NO", "ONE")
    assert await redis.set("x", "y")
    assert notes.events == ["connected", "lost", "connected"]


async def test_a_closed_client_leaves_no_connection_open(redis: LineClient, server: RedisServer, notes: Notes) -> None:
    await redis.ping()
    await redis.apart.ping()
    await ask_and_wait(redis, ("BZPOPMIN", "line", 0.01))
    await redis.aclose()
    while await connections(server):
        await asyncio.sleep(0)
    assert notes.events == ["connected"]


async def test_a_transaction_is_refused(redis: LineClient) -> None:
    with pytest.raises(NotImplementedError):
        redis.pipeline()
