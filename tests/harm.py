"""What can happen to processes and connections, in an order that a seed decides."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.cluster import Cluster, Worker
from tests.processes import Process


class Harm:
    """Does one thing after the other to a cluster that users are busy with; ``chance`` says what, and to whom."""

    def __init__(self, cluster: Cluster, chance: random.Random) -> None:
        self._cluster = cluster
        self._chance = chance
        self.done: Counter[str] = Counter()
        self.workers: set[str] = set()
        """API keys of workers that were killed, frozen or drained: only their turns may be begun anew."""
        self._kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "gateway killed": self._kill_gateway,
            "gateway drained": self._drain_gateway,
            "gateway frozen": self._freeze_gateway,
            "worker killed": self._kill_worker,
            "worker drained": self._drain_worker,
            "worker frozen": self._freeze_worker,
            "Redis killed": self._kill_redis,
            "Redis frozen": self._freeze_redis,
            "connections cut": self._cut_connections,
            "subscriptions cut": self._cut_subscriptions,
            "scripts flushed": self._flush_scripts,
            "Gemini refusing": self._refuse,
        }

    async def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(self._chance.uniform(0.5, 3.0))
            kind = self._chance.choice(list(self._kinds))
            self.done[kind] += 1
            await self._kinds[kind]()

    async def _kill_gateway(self) -> None:
        self._cluster.kill(self._chance.choice(self._cluster.gateways))
        await self._cluster.add_gateways()

    async def _drain_gateway(self) -> None:
        leaving = self._chance.choice(self._cluster.gateways)
        await self._cluster.add_gateways()
        await self._cluster.retire(leaving)

    async def _freeze_gateway(self) -> None:
        await self._freeze(self._chance.choice(self._cluster.gateways), 2.0)

    def _some_worker(self) -> Worker:
        worker = self._chance.choice(self._cluster.workers)
        self.workers.add(worker.key)
        return worker

    async def _kill_worker(self) -> None:
        self._cluster.kill(self._some_worker())
        await self._cluster.add_workers()

    async def _drain_worker(self) -> None:
        leaving = self._some_worker()
        await self._cluster.add_workers()
        await self._cluster.retire(leaving)

    async def _freeze_worker(self) -> None:
        await self._freeze(self._some_worker(), 6.0)

    async def _freeze(self, process: Process, most: float) -> None:
        process.freeze()
        await asyncio.sleep(self._chance.uniform(0.2, most))
        process.thaw()

    async def _kill_redis(self) -> None:
        self._cluster.server.kill()
        await asyncio.sleep(self._chance.uniform(0.0, 3.0))
        self._cluster.server.start()

    async def _freeze_redis(self) -> None:
        self._cluster.server.freeze()
        await asyncio.sleep(self._chance.uniform(0.2, 4.0))
        self._cluster.server.thaw()

    async def _cut_connections(self) -> None:
        await self._cluster.redis.client_kill_filter(_type="normal", skipme=True)

    async def _cut_subscriptions(self) -> None:
        await self._cluster.redis.client_kill_filter(_type="pubsub", skipme=True)

    async def _flush_scripts(self) -> None:
        await self._cluster.redis.script_flush()

    async def _refuse(self) -> None:
        await self._cluster.gemini.refuse()
        await asyncio.sleep(self._chance.uniform(0.1, 1.5))
        await self._cluster.gemini.listen()
