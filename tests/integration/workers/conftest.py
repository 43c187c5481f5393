"""A worker put together by hand on a real server: its clock, its model and its pieces in the test's grasp."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.state.connect import connect
from tests.integration.workers.bench_worker import BenchWorker
from tests.servers import RedisServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(Path(tmp_path_factory.mktemp("valkey"))) as server:
        yield server


@pytest.fixture
async def worker(server: RedisServer) -> AsyncIterator[BenchWorker]:
    client = server.client()
    await client.flushall()
    await client.aclose()
    redis = connect(server.url)
    worker = BenchWorker(redis)
    async with asyncio.TaskGroup() as services:
        tasks = [services.create_task(service) for service in worker.services()]
        await worker.queue.beat(worker.id, worker.about, lifetime=60)
        yield worker
        for task in tasks:
            task.cancel()
    await redis.aclose()
