"""The sweep: no turn is forgotten.

Every worker looks at the index of live turns again and again and puts right what a death left behind: a turn whose
owner stands still is offered to the others, a hint that was lost is given again, a turn past its deadline is ended, an
entry without a turn is dropped. What is judged to stand still was seen so for a whole lease on this process's own
monotonic clock, with Redis answering and taking this worker's own beats throughout: an outage, a server that is frozen
or full, or a pause of this process starts the watch anew.

A turn that was seen running at another worker is not looked at again while that worker's counter rises and the turn's
deadline has not passed. It may change hands meanwhile, unseen, and even lose its hint; somebody sees it all the same:

- Whoever gave the turn up or lost it finds it in its own next pass, and knows since whose it is: it gives a hint that
  was lost (of its put-back, or by a sweep or an operator who took the turn and died), or watches over the next owner.
- If it dies before that, all who remember it as the owner see its counter stand still, and look.
- Who remembers an owner of longer ago remembers one that lives and has looked, or one that does not; so both hold.
- A claim whose reply never came, or a turn whose run broke, belongs to a worker that lives and knows nothing of it:
  each worker watches the records of those that are said to be its own and are not.
- What Redis forgot (in a failover) may be in no such order: after an outage, and whenever this worker's own turns are
  in doubt, all are looked at once.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

import structlog

from gateway.state.errors import StateUnavailable
from gateway.state.ids import TurnRef, WorkerId, worker_of
from gateway.state.queue import Queue
from gateway.state.records import State, TurnStatus
from gateway.state.turns import ENTRY_MAX_AGE, Turns
from workers.stillness import Stillness

_log = structlog.get_logger(__name__)

_MOST = 10_000
"""Live turns looked at in one pass, oldest first."""

_AT_ONCE = 100
"""Turns taken from a dead worker together."""

BURIAL = 24
"""Leases after which the counter of a dead worker is forgotten."""


def _untold() -> None:
    """Where nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Running:
    """Why a turn need not be looked at now: as it was when looked at last."""

    owner: WorkerId
    due: float
    """When its deadline will have passed, by the sweep's own clock."""


class Sweeper:
    def __init__(
        self,
        queue: Queue,
        turns: Turns,
        worker: WorkerId,
        *,
        lease: float,
        own: Callable[[TurnRef], bool],
        clock: Callable[[], float] = monotonic,
        on_takeover: Callable[[], None] = _untold,
    ) -> None:
        """``own``: tells the turns that this ``worker`` runs; ``on_takeover`` is called for each taken from another."""
        self._queue = queue
        self._turns = turns
        self._worker = worker
        self._lease = lease
        self._own = own
        self._clock = clock
        self._on_takeover = on_takeover
        self._running: dict[TurnRef, Running] = {}
        self._workers: Stillness[WorkerId] = Stillness()
        self._records: Stillness[TurnRef] = Stillness()
        self._last_pass = clock()

    @property
    def interval(self) -> float:
        return self._lease / 4

    async def run(self) -> None:
        """Sweeps until cancelled. Workers started together drift apart, so that they don't all look at once."""
        while True:
            await self._pause()
            try:
                await self.sweep()
            except StateUnavailable as error:
                self._watch_anew()
                self.look_anew()
                _log.debug("sweep broken off", reason=str(error))

    async def _pause(self) -> None:
        await asyncio.sleep(self.interval * random.uniform(0.8, 1.0))

    def look_anew(self) -> None:
        """What was seen of running turns may not be true any more."""
        self._running.clear()

    def _watch_anew(self) -> None:
        """What was seen to stand still does not count."""
        self._workers.clear()
        self._records.clear()

    async def sweep(self) -> None:
        """One pass. Raises StateUnavailable, after which nothing seen before may count."""
        began = self._clock()
        if began - self._last_pass > self._lease / 2:
            self._watch_anew()
        counters = await self._queue.leases()
        live = {ref: age for ref, age in await self._queue.live(limit=_MOST) if not self._own(ref)}
        self._running = {ref: running for ref, running in self._running.items() if ref in live}
        self._see_workers(counters)
        refs = [ref for ref in live if self._worth_a_look(ref, began)]
        looks = dict(zip(refs, await self._turns.observe(refs), strict=True))
        now = self._last_pass = self._clock()
        if now - began > self._lease / 2:
            self._watch_anew()
        self._see_records(looks, counters, now)
        lost = [(ref, status) for ref, status in looks.items() if status and self._lost(ref, status, began)]
        for ref, status in looks.items():
            await self._judge(ref, live[ref], status, now)
        await self._take(lost, began)
        await self._hint_again(looks, now)
        await self._bury(began)

    def _see_workers(self, counters: Mapping[WorkerId, int]) -> None:
        now = self._clock()
        watched = {self._worker, *counters, *(running.owner for running in self._running.values())}
        self._workers.keep(watched)
        for worker in watched:
            self._workers.see(worker, counters.get(worker), now)
        if self._workers.seconds(self._worker, now) > self._lease / 2:
            # This worker lives and its counter stands still: so may those of others. Until it moves, nothing counts.
            self._workers.keep({self._worker})
            self._records.clear()

    def _worth_a_look(self, ref: TurnRef, began: float) -> bool:
        running = self._running.get(ref)
        return running is None or running.due <= began or self._stands_still(running.owner, began)

    def _stands_still(self, worker: WorkerId, began: float) -> bool:
        """Whether it did for a whole lease, from after one look at its counter to before another."""
        return self._workers.seconds(worker, began) >= self._lease

    def _see_records(
        self, looks: Mapping[TurnRef, TurnStatus | None], counters: Mapping[WorkerId, int], now: float
    ) -> None:
        self._records.keep(looks)
        for ref, status in looks.items():
            self._running.pop(ref, None)
            if status is None:
                continue
            self._records.see(ref, (status.state, status.owner, status.lease), now)
            owner = worker_of(status.owner) if status.owner else self._worker
            if status.state is State.RUNNING and not status.renewed and owner != self._worker:
                self._running[ref] = Running(owner, now + status.left)
                if owner not in counters:
                    self._workers.see(owner, None, now)

    async def _judge(self, ref: TurnRef, age: float, status: TurnStatus | None, now: float) -> None:
        """Sees to whatever has ended, or must."""
        if status is None:
            # Its begin is refused by now, so no record can appear behind the entry's back.
            if age > 2 * ENTRY_MAX_AGE:
                await self._queue.leave(ref)
        elif status.state.ended:
            # Its worker takes it out within a moment, together with others.
            if self._records.seconds(ref, now) >= self.interval / 2:
                await self._queue.leave(ref)
        elif status.overdue and await self._turns.end_overdue(ref):
            _log.warning("turn ended past its deadline", turn=ref.turn)

    def _lost(self, ref: TurnRef, status: TurnStatus, began: float) -> bool:
        """Whether it is said to run, and its owner shows no life or knows nothing of it."""
        if status.state is not State.RUNNING or status.overdue:
            return False
        running = self._running.get(ref)
        if running is not None:
            return self._stands_still(running.owner, began)
        return self._records.seconds(ref, began) >= self._lease

    async def _take(self, lost: Sequence[tuple[TurnRef, TurnStatus]], began: float) -> None:
        for start in range(0, len(lost), _AT_ONCE):
            if self._clock() - began > self._lease / 2:
                return  # who stood still then may beat by now
            part = lost[start : start + _AT_ONCE]
            for (ref, status), taken in zip(part, await self._turns.expire_all(part), strict=True):
                self._running.pop(ref, None)
                if taken:
                    self._on_takeover()
                    _log.warning("turn taken from a lost worker", turn=ref.turn, attempt=status.attempt)

    async def _hint_again(self, looks: Mapping[TurnRef, TurnStatus | None], now: float) -> None:
        waiting = [
            ref for ref, status in looks.items() if status and status.state is State.QUEUED and not status.overdue
        ]
        stale = [ref for ref in waiting if self._records.seconds(ref, now) >= self.interval]
        for ref in set(stale) - await self._queue.waiting(stale):
            _log.info("lost hint given again", turn=ref.turn)
            await self._queue.ready(ref)

    async def _bury(self, began: float) -> None:
        owners = {running.owner for running in self._running.values()}
        dead = [
            worker
            for worker, counter in self._workers.marks()
            if counter is not None
            and worker not in owners
            and self._workers.seconds(worker, began) >= BURIAL * self._lease
        ]
        if dead:
            await self._queue.bury(*dead)
