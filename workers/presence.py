"""Tells the gateways that this worker lives, and what it is."""

import asyncio

import structlog

from gateway.state.errors import StateUnavailable
from gateway.state.ids import WorkerId
from gateway.state.queue import Queue
from gateway.state.records import About

_log = structlog.get_logger(__name__)

BEAT = 1.5
"""Seconds between beats."""

LIFETIME = 5.0
"""Seconds after its last beat at which a worker counts as dead."""

_RETRY = 0.3


class Presence:
    def __init__(self, queue: Queue, worker: WorkerId, about: About) -> None:
        self._queue = queue
        self._worker = worker
        self._about = about
        self._away = False

    async def run(self, leaving: asyncio.Event) -> None:
        """Beats until the worker is leaving, then resigns at once: no new turn shall count on it."""
        while not leaving.is_set():
            pause = BEAT if await self._beat() else _RETRY
            try:
                async with asyncio.timeout(pause):
                    await leaving.wait()
            except TimeoutError:
                pass
        try:
            await self._queue.resign(self._worker)
        except StateUnavailable:
            _log.debug("left without a word: Redis is away")

    async def _beat(self) -> bool:
        """One beat; says once when Redis goes away and once when it is back."""
        try:
            await self._queue.beat(self._worker, self._about, lifetime=LIFETIME)
        except StateUnavailable as error:
            if not self._away:
                _log.warning("waiting for Redis", reason=str(error))
            self._away = True
        else:
            if self._away:
                _log.info("Redis is there")
            self._away = False
        return not self._away
