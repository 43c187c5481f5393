"""The pool under more callers than it has connections: those of commands that go apart from the others."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.state.connect import connect
from tests.servers import RedisServer


async def test_callers_are_served_in_the_order_in_which_they_came(valkey: RedisServer) -> None:
    redis = connect(valkey.url, connections=1, timeout=5)
    served: list[int] = []

    async def call(number: int) -> None:
        await redis.apart.echo("x")
        served.append(number)
        if number < 20:
            # A newcomer at the very moment in which a connection becomes free.
            await call(number + 1000)

    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(call(number))
    await redis.aclose()
    assert [number for number in served if number < 1000] == list(range(40))
    assert served.index(39) < served.index(1001)


async def test_waiting_for_a_connection_is_bounded_and_costs_none(valkey: RedisServer) -> None:
    redis = connect(valkey.url, connections=1, timeout=0.2)
    held = await redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
    with pytest.raises(RedisConnectionError, match="No connection"):
        await redis.apart.ping()
    await redis.connection_pool.release(held)
    assert await redis.apart.ping()
    await redis.aclose()


async def test_a_connection_that_could_not_be_made_gives_its_place_back(valkey: RedisServer) -> None:
    redis = connect("redis://127.0.0.1:1/0", connections=1, timeout=0.2)
    for _ in range(3):
        with pytest.raises(RedisConnectionError, match=r"(?i)connect|refused"):
            await redis.apart.ping()
    await redis.aclose()


async def test_a_cancelled_caller_gives_its_place_back(valkey: RedisServer) -> None:
    redis = connect(valkey.url, connections=1, timeout=0.5)
    held = await redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
    waiting = asyncio.ensure_future(redis.apart.ping())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await redis.connection_pool.release(held)
    assert await redis.apart.ping()
    await redis.aclose()
