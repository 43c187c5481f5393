"""Whether this replica should be sent requests, and what is missing for them to be answered.

Only what is local decides (starting, draining): a blip of Redis must not take every replica out at once. The rest is
told.
"""

import asyncio
from typing import Any, Never

import structlog

from gateway.drain import Drain
from gateway.state.errors import StateUnavailable
from gateway.state.queue import Queue
from gateway.state.records import Census

_PATIENCE_SECONDS = 0.8
_WATCH_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Readiness:
    def __init__(self, queue: Queue, drain: Drain) -> None:
        self.started = False
        self._queue = queue
        self._drain = drain

    @property
    def status(self) -> str:
        if self._drain.begun:
            return "draining"
        return "ready" if self.started else "starting"

    async def report(self) -> dict[str, Any]:
        """The body of ``/readyz``, within a second. What is not known is left out."""
        census = await self._census()
        report: dict[str, Any] = {"status": self.status, "redis": census is not None}
        if census is not None:
            report["workers"] = len(census.workers)
            report["queue"] = {
                "waiting": census.waiting,
                "live": census.live,
                "oldest_wait_seconds": round(census.oldest_wait, 3),
            }
        return report

    async def watch(self) -> Never:
        """Logs when Redis and the workers come and go."""
        seen: dict[str, bool] = {"redis": True, "workers": True}
        while True:
            census = await self._census()
            now = {"redis": census is not None, "workers": seen["workers"] if census is None else bool(census.workers)}
            for what, there in now.items():
                if there != seen[what]:
                    (log.info if there else log.warning)(f"{what}_found" if there else f"{what}_missing")
            seen = now
            await asyncio.sleep(_WATCH_SECONDS)

    async def _census(self) -> Census | None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self._queue.census()
        except (StateUnavailable, TimeoutError):
            return None
