"""The whole product on loopback: real gateways, workers and Valkey, HAProxy where wanted, and the stand-in Gemini.

    async with Cluster(tmp_path, gemini, gateways=3, workers=2) as cluster:
        ... cluster.any_url()                       # a replica at random
        cluster.gateways[0].kill()                  # what a test ends, it ends itself; the rest must exit with status 0

Leaving the scope asks everything to end as an operator would, and checks that it did: exit status 0, nobody left
behind, and no traceback in any log.
"""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from redis.asyncio import Redis

from gateway.state.ids import WorkerId
from gateway.state.queue import Queue
from tests.balancer import Balancer, balancer
from tests.dns import NameServer, name_server
from tests.gemini_server import Call, GeminiControl
from tests.processes import Process, found, python
from tests.servers import RedisServer, free_port

GATEWAY = {
    "DRAIN_NOTICE_SECONDS": "0.1",
    "DRAIN_SECONDS": "5",
    "RETRY_MILLISECONDS": "100",
    "STOP_TIMEOUT": "2",
    "HEARTBEAT_SECONDS": "1",
    # All users of a test share an address, and do in a second what people do in an hour.
    "RATE_SESSION_REQUESTS": "off",
    "RATE_ADDRESS_REQUESTS": "off",
    "RATE_ADDRESS_SESSIONS": "off",
    "RATE_SESSION_TURNS": "off",
}
WORKER = {
    "GRACE_SECONDS": "1",
    "RETRY_LIMIT": "2",
    "RETRY_TOTAL_SECONDS": "4",
}
"""What differs from the defaults, lest tests wait for what they do not ask about. Leases are the product's own."""

_STARTING = 20.0
_TROUBLE = re.compile(r"Traceback \(most recent|never awaited|was never retrieved|Task was destroyed|ResourceWarning")


class Gemini(GeminiControl):
    """The stand-in as a process of its own."""

    def __init__(self, process: Process, url: str, control_url: str) -> None:
        super().__init__(control_url)
        self.process = process
        self.url = url

    async def calls_about(self, text: str) -> list[Call]:
        """The calls whose last user text has ``text`` in it, in order."""
        return [call for call in await self.calls() if text in call.text]

    async def call_about(self, text: str, *, number: int = 1, chunks: int = 0, held: bool = False) -> Call:
        """The ``number``-th such call, as soon as it sent so many chunks, and is held where that is asked."""

        def there(calls: Any) -> bool:
            about = [call for call in calls if text in call.text]
            return len(about) >= number and about[number - 1].chunks >= chunks and (about[number - 1].held or not held)

        seen = await self.wait_for(there, timeout=10.0)
        return [call for call in seen if text in call.text][number - 1]

    async def ended(self, call: Call, timeout: float = 5.0) -> Call:
        """The call as it was after its end."""
        seen = await self.wait_for(lambda calls: any(one.id == call.id and one.ended for one in calls), timeout)
        return next(one for one in seen if one.id == call.id)


@asynccontextmanager
async def gemini(directory: Path) -> AsyncIterator[Gemini]:
    log = directory / "gemini.log"
    process = Process("gemini", python("tests.gemini_server"), log)
    try:

        async def said() -> str | None:
            return process.output.partition("\n")[0] if "\n" in process.output else None

        told = json.loads(await found(said, "the stand-in Gemini to listen"))
        async with Gemini(process, told["url"], told["control_url"]) as control:
            yield control
        process.terminate()
        assert await process.ended() == 0, process.output
    finally:
        process.kill()


class Gateway(Process):
    def __init__(self, name: str, log: Path, environ: Mapping[str, str]) -> None:
        self.host, self.port = environ["HOST"], int(environ["PORT"])
        self.url = f"http://{self.host}:{self.port}"
        super().__init__(name, python("gateway"), log, environ)


class Worker(Process):
    """``key`` is its own API key, so that a call tells which worker made it."""

    def __init__(self, name: str, log: Path, environ: Mapping[str, str]) -> None:
        self.key = environ.get("GOOGLE_API_KEY", "")
        super().__init__(name, python("workers"), log, environ)


class Cluster:
    """``gateway`` and ``worker``: settings beyond those of every test. ``redis``: a server of the test's own."""

    def __init__(
        self,
        directory: Path,
        gemini: Gemini,
        *,
        gateways: int = 1,
        workers: int = 1,
        balanced: bool = False,
        gateway: Mapping[str, str] | None = None,
        worker: Mapping[str, str] | None = None,
        redis: RedisServer | None = None,
    ) -> None:
        self.gemini = gemini
        self.gateways: list[Gateway] = []
        self.workers: list[Worker] = []
        self.server = redis or RedisServer(directory / "redis", aof=True)
        self.redis: Redis
        self.queue: Queue
        self.http: aiohttp.ClientSession
        self.balancer: Balancer | None = None
        self._directory = directory
        self._wanted = (gateways, workers)
        self._balanced = balanced
        self._gateway = {**GATEWAY, **(gateway or {})}
        self._worker = {**WORKER, **(worker or {})}
        self._port = free_port()
        self._names: NameServer
        self._started: list[Process] = []
        self._stack = AsyncExitStack()

    def any_url(self) -> str:
        """A replica at random, or the balancer's address where there is one."""
        return self.balancer.url if self.balancer else random.choice(self.gateways).url

    async def __aenter__(self) -> Self:
        try:
            self._stack.enter_context(self.server)
            self.redis = await self._stack.enter_async_context(self.server.client())
            self.queue = Queue(self.redis)
            self.http = await self._stack.enter_async_context(aiohttp.ClientSession())
            await self._start()
        except BaseException:
            await self._kill_all()
            raise
        return self

    async def _start(self) -> None:
        gateways, workers = self._wanted
        if self._balanced:
            self._names = await self._stack.enter_async_context(name_server())
        async with asyncio.TaskGroup() as group:
            group.create_task(self.add_gateways(gateways))
            group.create_task(self.add_workers(workers))
        if self._balanced:
            log = self._directory / "haproxy.log"
            self.balancer = await self._stack.enter_async_context(
                balancer(log, names_port=self._names.port, gateway_port=self._port)
            )
            await self.balancer.sees(*(gateway.host for gateway in self.gateways))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._end_all()
        finally:
            await self._kill_all()

    async def _end_all(self) -> None:
        running = [process for process in self._started if process.running]
        for process in running:
            process.terminate()
        statuses = {process.name: await process.ended(15.0) for process in running}
        assert all(status == 0 for status in statuses.values()), f"exit statuses {statuses}"
        for process in self._started:
            trouble = _TROUBLE.search(process.output)
            assert trouble is None, f"{process.name} logged: {process.output[trouble.start() :][:3000]}"

    async def _kill_all(self) -> None:
        for process in self._started:
            process.kill()
        await self._stack.aclose()

    async def add_gateways(self, count: int = 1, **environ: str) -> list[Gateway]:
        """Starts so many more, and returns them when they are ready."""
        new = [self.start_gateway(**environ) for _ in range(count)]
        for gateway in new:
            await found(partial(self._is_ready, gateway), f"{gateway.name} to be ready", _STARTING)
        return new

    async def complete(self, *, gateways: int, workers: int) -> None:
        """Puts new members in the place of those that earlier tests have ended."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.add_gateways(gateways - len(self.gateways)))
            group.create_task(self.add_workers(workers - len(self.workers)))

    def start_gateway(self, **environ: str) -> Gateway:
        number = self._number(Gateway)
        host, port = (f"127.0.0.{10 + number}", self._port) if self._balanced else ("127.0.0.1", free_port())
        settings = {**self._gateway, "REDIS_URL": self.server.url, "HOST": host, "PORT": str(port), **environ}
        gateway = Gateway(f"gateway-{number}", self._directory / f"gateway-{number}.log", settings)
        self._started.append(gateway)
        self.gateways.append(gateway)
        if self._balanced:
            self._names.addresses.setdefault("gateway", []).append(host)
        return gateway

    async def add_workers(self, count: int = 1, **environ: str) -> list[Worker]:
        """Starts so many more, and returns them when they have said that they live."""
        if count <= 0:
            return []
        before = await self.living_workers()
        new = [self.start_worker(**environ) for _ in range(count)]

        async def joined() -> bool:
            for worker in new:
                assert worker.running, f"{worker.name} ended: {worker.output}"
            return len(await self.living_workers() - before) >= count

        await found(joined, f"{count} workers to be ready", _STARTING)
        return new

    def start_worker(self, **environ: str) -> Worker:
        number = self._number(Worker)
        settings = {
            "REDIS_URL": self.server.url,
            "GOOGLE_API_KEY": f"key-of-worker-{number}",
            "GOOGLE_GEMINI_BASE_URL": self.gemini.url,
            **self._worker,
            **environ,
        }
        worker = Worker(f"worker-{number}", self._directory / f"worker-{number}.log", settings)
        self._started.append(worker)
        self.workers.append(worker)
        return worker

    def worker_of(self, call: Call) -> Worker:
        """Which worker made the call."""
        return next(worker for worker in self.workers if worker.key == call.key)

    def kill(self, process: Gateway | Worker) -> None:
        """kill -9, and no member any more."""
        process.kill()
        self._forget(process)

    async def retire(self, process: Gateway | Worker, patience: float = 15.0) -> None:
        """SIGTERM, and no member any more when it has ended, which must be with status 0."""
        process.terminate()
        assert await process.ended(patience) == 0, process.output
        self._forget(process)

    async def living_workers(self) -> set[WorkerId]:
        return set((await self.queue.census()).workers)

    def logs(self) -> dict[str, str]:
        """The end of what each process said."""
        return {process.name: process.output[-4000:] for process in [self.gemini.process, *self._started]}

    def _forget(self, process: Gateway | Worker) -> None:
        if isinstance(process, Worker):
            self.workers.remove(process)
            return
        self.gateways.remove(process)
        if self._balanced:
            self._names.addresses["gateway"].remove(process.host)

    def _number(self, kind: type[Process]) -> int:
        return 1 + sum(isinstance(process, kind) for process in self._started)

    async def _is_ready(self, gateway: Gateway) -> bool:
        assert gateway.running, f"{gateway.name} ended: {gateway.output}"
        try:
            async with self.http.get(f"{gateway.url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False
