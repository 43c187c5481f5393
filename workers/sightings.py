"""What a sweep has seen of workers and records, and what follows from it. Pure: moments are the sweep's own clock's."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gateway.state.ids import TurnRef, WorkerId, worker_of
from gateway.state.records import State, TurnStatus
from workers.stillness import Stillness

BURIAL = 24
"""Leases after which the counter of a dead worker is forgotten."""

Looks = Mapping[TurnRef, TurnStatus | None]
"""The records that one pass looked at."""


@dataclass(frozen=True, slots=True)
class Running:
    """Why a turn need not be looked at now: as it was when looked at last."""

    owner: WorkerId
    due: float
    """When its deadline will have passed."""


class Sightings:
    def __init__(self, worker: WorkerId, lease: float) -> None:
        """``worker``: whose sweep it is."""
        self._worker = worker
        self._lease = lease
        self._running: dict[TurnRef, Running] = {}
        self._outdated: set[TurnRef] = set()
        self._all_outdated = False
        self._workers: Stillness[WorkerId] = Stillness()
        self._records: Stillness[TurnRef] = Stillness()

    def watch_anew(self) -> None:
        """What was seen to stand still does not count."""
        self._workers.clear()
        self._records.clear()

    def look_anew(self, ref: TurnRef) -> None:
        """What was seen of it may not be true any more, nor what is about to be told by a look that is under way."""
        self._running.pop(ref, None)
        self._outdated.add(ref)

    def look_at_all_anew(self) -> None:
        self._running.clear()
        self._all_outdated = True

    def see_workers(self, counters: Mapping[WorkerId, int], live: Collection[TurnRef], now: float) -> None:
        """Begins a pass. ``live``: the turns that this worker does not run itself."""
        self._outdated.clear()
        self._all_outdated = False
        self._running = {ref: running for ref, running in self._running.items() if ref in live}
        watched = {self._worker, *counters, *self._owners()}
        self._workers.keep(watched)
        for worker in watched:
            self._workers.see(worker, counters.get(worker), now)
        if self._workers.seconds(self._worker, now) > self._lease / 2:
            # This worker lives and its counter stands still: so may those of others. Until it moves, nothing counts.
            self._workers.keep({self._worker})
            self._records.clear()

    def worth_a_look(self, ref: TurnRef, began: float) -> bool:
        running = self._running.get(ref)
        return running is None or running.due <= began or self._stands_still(running.owner, began)

    def see_records(self, looks: Looks, counters: Mapping[WorkerId, int], now: float) -> None:
        self._records.keep(looks)
        for ref, status in looks.items():
            self._running.pop(ref, None)
            if status is None:
                continue
            self._records.see(ref, (status.state, status.owner, status.lease), now)
            owner = self._other_owner(status)
            if owner is None or self._all_outdated or ref in self._outdated:
                continue
            self._running[ref] = Running(owner, now + status.left)
            if owner not in counters:
                self._workers.see(owner, None, now)

    def unchanged(self, ref: TurnRef, now: float) -> float:
        """Seconds for which its record has been as it is; for one that is looked at in every pass."""
        return self._records.seconds(ref, now)

    def lost(self, ref: TurnRef, status: TurnStatus, began: float) -> bool:
        """Whether it is said to run, and its owner shows no life or knows nothing of it."""
        if status.state is not State.RUNNING or status.overdue:
            return False
        owner = self._other_owner(status)
        if owner is not None:
            return self._stands_still(owner, began)
        return self._records.seconds(ref, began) >= self._lease

    def long_dead(self, began: float) -> list[WorkerId]:
        """Workers whose counters nobody needs any more."""
        owners = self._owners()
        return [
            worker
            for worker, counter in self._workers.marks()
            if counter is not None
            and worker not in owners
            and self._workers.seconds(worker, began) >= BURIAL * self._lease
        ]

    def _other_owner(self, status: TurnStatus) -> WorkerId | None:
        """The other worker at which it runs and whose counter tells of it; else the record itself has to."""
        owner = worker_of(status.owner) if status.owner else self._worker
        return owner if status.state is State.RUNNING and not status.renewed and owner != self._worker else None

    def _owners(self) -> set[WorkerId]:
        return {running.owner for running in self._running.values()}

    def _stands_still(self, worker: WorkerId, began: float) -> bool:
        """Whether it did for a whole lease, from after one look at its counter to before another."""
        return self._workers.seconds(worker, began) >= self._lease
