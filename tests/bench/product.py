"""The product as it is deployed: gateways, workers, and a Valkey whose files are kept synced; default settings.

What bounds how much may be asked or run at once is raised, so that a limit is one of speed. Rates are counted as ever.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis

from gateway.state.queue import Queue
from tests.bench.crowd import settle
from tests.bench.knock import get
from tests.bench.plan import Dialect
from tests.bench.systems import STARTING, System
from tests.processes import Process, python
from tests.servers import RedisServer, free_port
from workers.standalone.files import AppendOnlyFiles

_LOOK = 0.005
_RATES = (
    *("SESSION_REQUESTS", "ADDRESS_REQUESTS", "ADDRESS_SESSIONS"),
    *("SESSION_TURNS", "SESSION_TURNS_DAILY", "SESSION_TOKENS"),
)
_GATEWAY = {
    "QUEUE_LIMIT": "10000",
    "DRAIN_NOTICE_SECONDS": "0",
    "DRAIN_SECONDS": "2",
    **{f"RATE_{rate}": "1000000/60" for rate in _RATES},
}
_WORKER = {"WORKER_CONCURRENCY": "10000", "GOOGLE_API_KEY": "bench", "DRAIN_SECONDS": "0"}


@dataclass(frozen=True, slots=True)
class Started:
    process: Process
    port: int
    seconds: float
    """From the command to the first answer; of a worker, to its first word in Redis."""


@dataclass(slots=True)
class Product:
    name: str
    directory: Path
    redis: RedisServer
    redis_url: str
    """By which gateways and workers reach it."""
    client: Redis
    upstream: int
    """The stand-in Gemini's port."""
    gateways: list[Started] = field(default_factory=list)
    workers: list[Started] = field(default_factory=list)
    writers: list[Process] = field(default_factory=list)
    """Stand-in workers: they cost the product nothing."""
    _started: int = 0

    @property
    def queue(self) -> Queue:
        return Queue(self.client)

    def through(self, gateways: int, dialect: Dialect = Dialect.ONE_CALL) -> System:
        """The product by way of its first so many gateways."""
        used = self.gateways[:gateways]
        pids = {f"gateway {n}" if n > 1 else "gateway": one.process.pid for n, one in enumerate(used, 1)}
        pids["redis"] = self.redis.pid
        if self.workers:
            pids["worker"] = self.workers[0].process.pid
        return System(self.name, dialect, [one.port for one in used], pids)

    async def start_gateway(self) -> Started:
        port, began = free_port(), time.monotonic()
        settings = {**_GATEWAY, "REDIS_URL": self.redis_url, "PORT": str(port)}
        process = self._start("gateway", settings)
        while await get(port) != 200:
            await self._wait(process, began)
        return Started(process, port, time.monotonic() - began)

    async def start_worker(self) -> Started:
        before = set((await self.queue.census()).workers)
        began = time.monotonic()
        settings = {
            **_WORKER,
            "REDIS_URL": self.redis_url,
            "GOOGLE_GEMINI_BASE_URL": f"http://127.0.0.1:{self.upstream}",
        }
        process = self._start("workers", settings)
        while set((await self.queue.census()).workers) <= before:
            await self._wait(process, began)
        return Started(process, 0, time.monotonic() - began)

    async def start_feeder(self) -> None:
        """A stand-in worker, far cheaper than the real one."""
        self._started += 1
        log = self.directory / f"{self.name}-feeder-{self._started}.log"
        self.writers.append(Process("feeder", python("tests.bench.feeder", self.redis.url), log))
        began = time.monotonic()
        while not (await self.queue.census()).workers:
            await self._wait(self.writers[-1], began)

    def _start(self, module: str, settings: Mapping[str, str]) -> Process:
        self._started += 1
        return Process(module, python(module), self.directory / f"{self.name}-{module}-{self._started}.log", settings)

    async def _wait(self, process: Process, began: float) -> None:
        assert process.running, process.output
        assert time.monotonic() - began < STARTING, process.output
        await asyncio.sleep(_LOOK)

    async def end(self, started: Started) -> None:
        """As an operator would. The process has to end by itself."""
        started.process.terminate()
        await started.process.ended()

    def kill(self) -> None:
        for process in [*(one.process for one in (*self.gateways, *self.workers)), *self.writers]:
            process.kill()


@asynccontextmanager
async def _synced(directory: Path) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        syncing = tasks.create_task(AppendOnlyFiles(directory).keep_synced())
        yield
        syncing.cancel()


@asynccontextmanager
async def product(
    name: str,
    directory: Path,
    upstream: int,
    *,
    gateways: int = 1,
    workers: int = 1,
    feeders: int = 0,
    sessions: int = 0,
    appendfsync: str = "no",
    unix: bool = True,
) -> AsyncIterator[Product]:
    """Ready when entered, with so many sessions in Redis that have a history already."""
    place = directory / name
    place.mkdir()
    args = ("--appendfsync", appendfsync)
    with RedisServer(place, aof=True, unix=unix, args=args) as server:
        async with server.client() as client, _synced(place):
            if sessions:
                await settle(client, sessions)
            made = Product(name, place, server, server.unix_url if unix else server.url, client, upstream)
            try:
                for _ in range(gateways):
                    made.gateways.append(await made.start_gateway())
                for _ in range(workers):
                    made.workers.append(await made.start_worker())
                for _ in range(feeders):
                    await made.start_feeder()
                yield made
            finally:
                made.kill()
