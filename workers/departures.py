"""Ended turns leave the index of live turns together: one command for all that ended within a moment.

Nothing waits for it. What a death or an outage keeps in the index, sweeps take out.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Never

import structlog

from gateway.state.errors import StateUnavailable
from gateway.state.ids import TurnRef
from gateway.state.queue import Queue

_log = structlog.get_logger(__name__)

MOMENT = 0.1
"""Seconds."""

_AT_ONCE = 1000


class Departures:
    def __init__(self, queue: Queue, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._queue = queue
        self._sleep = sleep
        self._refs: dict[TurnRef, None] = {}
        self._work = asyncio.Event()

    def __contains__(self, ref: object) -> bool:
        """It has ended, and is about to leave."""
        return ref in self._refs

    def add(self, ref: TurnRef) -> None:
        self._refs[ref] = None
        self._work.set()

    async def run(self) -> Never:
        """Takes turns out until cancelled."""
        while True:
            await self._work.wait()
            await self._sleep(MOMENT)
            await self.flush()

    async def flush(self) -> None:
        """Takes out all that have ended; what Redis keeps from leaving, a sweep finds."""
        self._work.clear()
        refs, self._refs = list(self._refs), {}
        try:
            for start in range(0, len(refs), _AT_ONCE):
                await self._queue.leave(*refs[start : start + _AT_ONCE])
        except StateUnavailable as error:
            _log.debug("index entries left to the sweep", turns=len(refs), reason=str(error))
