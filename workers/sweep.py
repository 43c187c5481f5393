"""The sweep: no turn is forgotten.

Every worker looks at the index of live turns again and again and puts right what a death left behind: a turn whose
owner stands still is offered to the others, a hint that was lost is given again, a turn past its deadline is ended, an
entry without a turn is dropped. What is judged to stand still was seen so for a whole lease on this process's own
monotonic clock, with Redis answering and taking this worker's own beats throughout: an outage, a server that is frozen
or full, one that lost what was written, or a pause of this process starts the watch anew.

A turn that was seen running at another worker is not looked at again while that worker's counter rises and the turn's
deadline has not passed. It may change hands meanwhile, unseen, and even lose its hint; somebody sees it all the same:

- Whoever gave the turn up or lost it looks at it anew, and knows since whose it is: it gives a hint that was lost (of
  its put-back, or by a sweep or an operator who took the turn and died), or watches over the next owner.
- If it dies before that, all who remember it as the owner see its counter stand still, and look.
- Who remembers an owner of longer ago remembers one that lives and has looked, or one that does not; so both hold.
- A claim whose reply never came, or a turn whose run broke, belongs to a worker that lives and knows nothing of it:
  each worker looks anew at what it claimed, and watches the records of those that are said to be its own and are not.
- What Redis forgot (in a failover) may be in no such order: after an outage, and whenever this worker's own turns are
  in doubt, all are looked at once.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from time import monotonic

import structlog

from gateway.state.errors import StateUnavailable
from gateway.state.ids import TurnRef, WorkerId
from gateway.state.queue import Queue
from gateway.state.records import State, TurnStatus
from gateway.state.turns import ENTRY_MAX_AGE, Turns
from workers.sightings import Looks, Sightings

_log = structlog.get_logger(__name__)

_MOST = 10_000
"""Live turns looked at in one pass, oldest first."""

_AT_ONCE = 100
"""Turns taken from a dead worker together."""


def _untold() -> None:
    """Where nobody wants to know."""


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
        self._lease = lease
        self._own = own
        self._clock = clock
        self._on_takeover = on_takeover
        self._seen = Sightings(worker, lease)
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
                self.begin_anew()
                _log.debug("sweep broken off", reason=str(error))

    async def _pause(self) -> None:
        await asyncio.sleep(self.interval * random.uniform(0.8, 1.0))

    def look_anew(self, ref: TurnRef) -> None:
        """To be called when this worker is done with a turn, or with the claim of one, however it went."""
        self._seen.look_anew(ref)

    def look_at_all_anew(self) -> None:
        """What was seen of running turns may not be true any more."""
        self._seen.look_at_all_anew()

    def begin_anew(self) -> None:
        """Nothing that was seen counts any more: Redis was away or lost something, or this process was."""
        self._seen.watch_anew()
        self._seen.look_at_all_anew()

    async def sweep(self) -> None:
        """One pass. Raises StateUnavailable, after which nothing seen before may count."""
        began = self._clock()
        if began - self._last_pass > self._lease / 2:
            self._seen.watch_anew()
        counters = await self._queue.leases()
        live = {ref: age for ref, age in await self._queue.live(limit=_MOST) if not self._own(ref)}
        self._seen.see_workers(counters, live, self._clock())
        refs = [ref for ref in live if self._seen.worth_a_look(ref, began)]
        looks = dict(zip(refs, await self._turns.observe(refs), strict=True))
        now = self._last_pass = self._clock()
        if now - began > self._lease / 2:
            self._seen.watch_anew()
        self._seen.see_records(looks, counters, now)
        lost = [(ref, status) for ref, status in looks.items() if status and self._seen.lost(ref, status, began)]
        for ref, status in looks.items():
            await self._judge(ref, live[ref], status, now)
        await self._take(lost, began)
        await self._hint_again(looks, now)
        await self._queue.bury(*self._seen.long_dead(began))

    async def _judge(self, ref: TurnRef, age: float, status: TurnStatus | None, now: float) -> None:
        """Sees to whatever has ended, or must."""
        if status is None:
            # Its begin is refused by now, so no record can appear behind the entry's back.
            if age > 2 * ENTRY_MAX_AGE:
                await self._queue.leave(ref)
        elif status.state.ended:
            # Its worker takes it out within a moment, together with others.
            if self._seen.unchanged(ref, now) >= self.interval / 2:
                await self._queue.leave(ref)
        elif status.overdue and await self._turns.end_overdue(ref):
            _log.warning("turn ended past its deadline", turn=ref.turn)

    async def _take(self, lost: Sequence[tuple[TurnRef, TurnStatus]], began: float) -> None:
        for start in range(0, len(lost), _AT_ONCE):
            if self._clock() - began > self._lease / 2:
                return  # who stood still then may beat by now
            part = lost[start : start + _AT_ONCE]
            for (ref, status), taken in zip(part, await self._turns.expire_all(part), strict=True):
                self._seen.look_anew(ref)
                if taken:
                    self._on_takeover()
                    _log.warning("turn taken from a lost worker", turn=ref.turn, attempt=status.attempt)

    async def _hint_again(self, looks: Looks, now: float) -> None:
        waiting = [
            ref for ref, status in looks.items() if status and status.state is State.QUEUED and not status.overdue
        ]
        stale = [ref for ref in waiting if self._seen.unchanged(ref, now) >= self.interval]
        for ref in set(stale) - await self._queue.waiting(stale):
            _log.info("lost hint given again", turn=ref.turn)
            await self._queue.ready(ref)
