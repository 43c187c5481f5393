"""Whether this replica should be sent requests, and what is missing for them to be answered.

Only what is local decides (starting, draining): a blip of Redis must not take every replica out at once. The rest is
told.
"""

import asyncio
from typing import Literal, Never

import structlog

from gateway import shapes
from gateway.drain import Drain
from gateway.state.cancellation import cancellation_is_heeded
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
    def status(self) -> Literal["ready", "starting", "draining"]:
        if self._drain.begun:
            return "draining"
        return "ready" if self.started else "starting"

    async def report(self) -> shapes.Readiness:
        """The body of ``/readyz``, within a second."""
        census = await self.census()
        if census is None:
            return shapes.Readiness(status=self.status, redis=False)
        queue = shapes.QueueState(
            waiting=census.waiting, live=census.live, oldest_wait_seconds=round(census.oldest_wait, 3)
        )
        return shapes.Readiness(status=self.status, redis=True, workers=len(census.workers), queue=queue)

    async def watch(self) -> Never:
        """Logs when Redis and the workers come and go."""
        seen: dict[str, bool] = {"redis": True, "workers": True}
        while True:
            with cancellation_is_heeded():
                census = await self.census()
            now = {"redis": census is not None, "workers": seen["workers"] if census is None else bool(census.workers)}
            for what, there in now.items():
                if there != seen[what]:
                    (log.info if there else log.warning)(f"{what}_found" if there else f"{what}_missing")
            seen = now
            await asyncio.sleep(_WATCH_SECONDS)

    async def census(self) -> Census | None:
        """None while Redis is away."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self._queue.census()
        except (StateUnavailable, TimeoutError):
            return None
