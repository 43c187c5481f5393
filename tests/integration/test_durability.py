"""What a server has acknowledged it still has after a kill -9, with its files synced from outside as in a deployment.

With ``appendfsync everysec`` it has not: it puts writes off while it syncs, and that is when it is killed here.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Gone

from tests.servers import Product, RedisServer
from workers.standalone.files import AppendOnlyFiles

KILLS = 4
WRITERS = 8
BALLAST = b"x" * 2**17
"""Makes a sync take a while."""
A_WHILE = 1.2
"""Within these seconds a server that syncs once a second by itself begins to do so."""


async def count_up(redis: Redis, counter: str, acknowledged: dict[str, int]) -> None:
    with suppress(Gone):
        while True:
            acknowledged[counter] = await redis.incr(counter)


async def load(redis: Redis) -> None:
    with suppress(Gone):
        while True:
            await redis.set("ballast", BALLAST)
            await asyncio.sleep(0.002)


async def until_it_syncs(redis: Redis) -> None:
    until = monotonic() + A_WHILE
    while monotonic() < until and not (await redis.info("persistence"))["aof_pending_bio_fsync"]:
        await asyncio.sleep(0)


async def killed_under_load(server: RedisServer) -> Mapping[str, int]:
    """How far each counter was told to have come."""
    acknowledged: dict[str, int] = {}
    async with server.client() as redis, asyncio.TaskGroup() as tasks:
        for number in range(WRITERS):
            tasks.create_task(count_up(redis, f"counter-{number}", acknowledged))
        tasks.create_task(load(redis))
        await until_it_syncs(redis)
        server.kill()
    return acknowledged


async def missing(server: RedisServer, acknowledged: Mapping[str, int]) -> int:
    async with server.client() as redis:
        kept = [int(value or 0) for value in await redis.mget(list(acknowledged))]
    return sum(max(0, told - found) for told, found in zip(acknowledged.values(), kept, strict=True))


@pytest.mark.parametrize("product", ["valkey", pytest.param("redis", marks=pytest.mark.needs_redis_server)])
async def test_a_killed_server_still_has_what_it_acknowledged(product: Product, tmp_path: Path) -> None:
    with RedisServer(tmp_path, aof=True, product=product) as server:
        async with asyncio.TaskGroup() as tasks:
            syncing = tasks.create_task(AppendOnlyFiles(tmp_path, interval=0).keep_synced())
            for _ in range(KILLS):
                acknowledged = await killed_under_load(server)
                server.start()
                assert len(acknowledged) == WRITERS
                assert await missing(server, acknowledged) == 0
            syncing.cancel()
