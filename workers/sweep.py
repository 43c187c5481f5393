"""The sweep: no turn is forgotten.

Every worker looks at the index of live turns again and again and puts right what a death left behind: a turn whose
owner stands still is offered to the others, a hint that was lost is given again, a turn past its deadline is ended, an
entry without a turn is dropped. What is judged to stand still was seen so for a whole lease on this process's own
monotonic clock, with Redis answering throughout: an outage, a frozen server or a pause of this process starts the watch
anew.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import structlog

from gateway.state.errors import StateUnavailable
from gateway.state.ids import TurnRef
from gateway.state.queue import Queue
from gateway.state.records import State, TurnStatus
from gateway.state.turns import ENTRY_MAX_AGE, Turns

_log = structlog.get_logger(__name__)

_MOST = 10_000
"""Live turns looked at in one pass, oldest first."""


def _untold() -> None:
    """Where nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A record as it was when first seen like this, and when that was."""

    status: TurnStatus
    since: float


class Sweeper:
    def __init__(
        self,
        queue: Queue,
        turns: Turns,
        *,
        lease: float,
        own: Callable[[TurnRef], bool],
        clock: Callable[[], float] = monotonic,
        on_takeover: Callable[[], None] = _untold,
    ) -> None:
        """``own``: tells the turns that this worker runs itself; ``on_takeover`` is called for each of another's."""
        self._queue = queue
        self._turns = turns
        self._lease = lease
        self._own = own
        self._clock = clock
        self._on_takeover = on_takeover
        self._watched: dict[TurnRef, Watch] = {}
        self._last_pass = clock()

    @property
    def interval(self) -> float:
        return self._lease / 4

    async def run(self) -> None:
        """Sweeps until cancelled. Workers started together drift apart, so that they don't all look at once."""
        while True:
            await asyncio.sleep(self.interval * random.uniform(0.8, 1.0))
            try:
                await self.sweep()
            except StateUnavailable as error:
                self._watched.clear()
                _log.debug("sweep broken off", reason=str(error))

    async def sweep(self) -> None:
        """One pass. Raises StateUnavailable, after which nothing seen before may count."""
        began = self._clock()
        if began - self._last_pass > self._lease / 2:
            self._watched.clear()
        entries = [(ref, age) for ref, age in await self._queue.live(limit=_MOST) if not self._own(ref)]
        statuses = await self._turns.observe([ref for ref, _ in entries])
        now = self._last_pass = self._clock()
        if now - began > self._lease / 2:
            self._watched.clear()
        self._watch(entries, statuses, now)
        for (ref, age), status in zip(entries, statuses, strict=True):
            await self._judge(ref, age, status, now)
        await self._hint_again(now)

    def _watch(self, entries: list[tuple[TurnRef, float]], statuses: list[TurnStatus | None], now: float) -> None:
        watched = {}
        for (ref, _), status in zip(entries, statuses, strict=True):
            if status is not None:
                before = self._watched.get(ref)
                watched[ref] = before if before and _same(before.status, status) else Watch(status, now)
        self._watched = watched

    async def _judge(self, ref: TurnRef, age: float, status: TurnStatus | None, now: float) -> None:
        if status is None:
            # Its begin is refused by now, so no record can appear behind the entry's back.
            if age > 2 * ENTRY_MAX_AGE:
                await self._queue.leave(ref)
        elif status.state.ended:
            # Its worker takes it out within a moment, together with others.
            if self._seen_for(ref, now) >= self.interval / 2:
                await self._queue.leave(ref)
        elif status.overdue:
            if await self._turns.end_overdue(ref):
                _log.warning("turn ended past its deadline", turn=ref.turn)
        elif self._stands_still(ref, status, now) and await self._turns.expire(ref, status):
            self._on_takeover()
            _log.warning("turn taken from a lost worker", turn=ref.turn, attempt=status.attempt)

    def _stands_still(self, ref: TurnRef, status: TurnStatus, now: float) -> bool:
        return status.state is State.RUNNING and self._seen_for(ref, now) >= self._lease

    def _seen_for(self, ref: TurnRef, now: float) -> float:
        """Seconds for which its record has been as it is."""
        return now - self._watched[ref].since

    async def _hint_again(self, now: float) -> None:
        stale = [
            ref
            for ref, watch in self._watched.items()
            if watch.status.state is State.QUEUED and now - watch.since >= self.interval
        ]
        for ref in set(stale) - await self._queue.waiting(stale):
            _log.info("lost hint given again", turn=ref.turn)
            await self._queue.ready(ref)


def _same(before: TurnStatus, status: TurnStatus) -> bool:
    return (before.state, before.owner, before.lease) == (status.state, status.owner, status.lease)
