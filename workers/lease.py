"""The lease: a worker's turns are its own for as long as its counter rises.

One beat does it for all turns, whatever their number: it raises the worker's counter, which the others' sweeps watch
(no clock is compared with another's), tells the gateways that the worker lives and what it is, and is heard by the
worker itself, on its own channel. What may have kept the worker from hearing of its turns shows in the beats.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Never

import structlog

from gateway.state.errors import StateUnavailable
from gateway.state.ids import WorkerId
from gateway.state.queue import Queue
from gateway.state.records import About

_log = structlog.get_logger(__name__)

BEATS_PER_LEASE = 3

LONGEST_PAUSE = 1.0
"""Seconds between beats, however long the lease."""

LIFETIME = 5.0
"""Seconds after its last beat at which gateways count a worker as dead."""

_RETRY = 0.3


class Lease:
    def __init__(
        self,
        queue: Queue,
        worker: WorkerId,
        about: About,
        *,
        lease: float,
        on_doubt: Callable[[], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """``lease``: seconds without a beat after which others may take the worker's turns. ``on_doubt`` is called when
        they may have done so, or when words about them may have been missed.
        """
        self._queue = queue
        self._worker = worker
        self._about = about
        self._lease = lease
        self._on_doubt = on_doubt
        self._clock = clock
        self._counter = 0
        self._beaten_at = clock()
        self._away = False

    @property
    def pause(self) -> float:
        """Seconds between beats."""
        return min(LONGEST_PAUSE, self._lease / BEATS_PER_LEASE)

    @property
    def patience(self) -> float:
        """Seconds within which the worker must hear itself on its channel."""
        return BEATS_PER_LEASE * self.pause

    async def run(self, leaving: asyncio.Event) -> Never:
        """Beats until cancelled. Once the worker is leaving, no new turn shall count on it; its own stay."""
        while True:
            told = leaving.is_set()
            pause = self.pause if await self._beat(leaving=told) else min(self.pause, _RETRY)
            try:
                async with asyncio.timeout(pause):
                    await (asyncio.sleep(pause) if told else leaving.wait())
            except TimeoutError:
                pass

    async def resign(self) -> None:
        """The worker holds no turn any more, and says so."""
        try:
            await self._queue.resign(self._worker)
        except StateUnavailable:
            _log.debug("left without a word: Redis is away")

    async def _beat(self, *, leaving: bool) -> bool:
        """One beat; says once when Redis goes away and once when it is back."""
        try:
            counter = await self._queue.beat(self._worker, None if leaving else self._about, lifetime=LIFETIME)
        except StateUnavailable as error:
            if not self._away:
                _log.warning("waiting for Redis", reason=str(error))
            self._away = True
            return False
        if self._away:
            _log.info("Redis is there")
        # From reply to reply: whatever froze in between, on either side, is in it.
        now = self._clock()
        paused = now - self._beaten_at > self._lease / 2
        if self._away or paused or counter != self._counter + 1:
            self._on_doubt()
        self._away, self._counter, self._beaten_at = False, counter, now
        return True
