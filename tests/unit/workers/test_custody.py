"""No turn is forgotten, and none is taken from who lives: the sweeps of many workers, over random deaths.

That every lost hint and every lost worker is found, although nobody looks at a running turn twice, is an argument
(``workers.sweep``) that examples alone do not prove.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from gateway.state.ids import ClaimToken, Position, SessionId, TurnId, TurnRef, WorkerId, worker_of
from gateway.state.queue import Queue
from gateway.state.records import State, TurnStatus
from gateway.state.turns import Turns
from workers.sweep import Sweeper

LEASE = 2.0
PASS = LEASE / 4
TURNS, WORKERS, STEPS = 6, 4, 80
SETTLED = 30
"""Passes in which everything is put right, whatever happened: some leases."""


@dataclass(frozen=True)
class Record:
    owner: WorkerId | None = None
    lease: int = 0


class World:
    """Redis, as far as a sweep goes, and the time."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.now = 0.0
        self.records = {TurnRef(SessionId("s"), TurnId(f"{n:024x}")): Record() for n in range(TURNS)}
        self.hints = set(self.records)
        self.counters: dict[WorkerId, int] = {}
        self.workers = [Worker(self, number) for number in range(WORKERS)]

    def clock(self) -> float:
        return self.now

    def worker(self, name: WorkerId) -> "Worker | None":
        return next((worker for worker in self.workers if worker.id == name), None)

    def requeue(self, ref: TurnRef, *, hint: bool) -> None:
        """As put_back and expire do; whoever did it may die before the hint. Its owner is told."""
        owner = self.records[ref].owner
        self.records[ref] = replace(self.records[ref], owner=None)
        if hint:
            self.hints.add(ref)
        worker = self.worker(owner) if owner else None
        if worker and not worker.frozen:
            worker.let_go(ref)

    # The parts of queue and turns that sweeps use.

    async def leases(self) -> dict[WorkerId, int]:
        return dict(self.counters)

    async def live(self, *, limit: int) -> list[tuple[TurnRef, float]]:
        return [(ref, self.now) for ref in self.records][:limit]

    async def observe(self, refs: Sequence[TurnRef]) -> list[TurnStatus | None]:
        return [self.status(ref) for ref in refs]

    def status(self, ref: TurnRef) -> TurnStatus:
        record = self.records[ref]
        token = ClaimToken(f"{record.owner}/1") if record.owner else None
        state = State.RUNNING if record.owner else State.QUEUED
        return TurnStatus(state, record.lease, Position(record.lease, 0), token, record.lease, left=1e6)

    async def expire_all(self, lost: Sequence[tuple[TurnRef, TurnStatus]]) -> list[bool]:
        taken = []
        for ref, seen in lost:
            there = self.status(ref) == seen
            taken.append(there)
            if there and seen.owner:
                owner = self.worker(worker_of(seen.owner))
                lives = owner is not None and self.now - owner.beaten_at < LEASE
                assert not (lives and owner and ref in owner.held), "taken from who lives"
                self.requeue(ref, hint=self.chance.random() < 0.5)
        return taken

    async def waiting(self, refs: Sequence[TurnRef]) -> set[TurnRef]:
        return self.hints.intersection(refs)

    async def ready(self, ref: TurnRef) -> None:
        self.hints.add(ref)

    async def bury(self, *workers: WorkerId) -> None:
        for worker in workers:
            self.counters.pop(worker, None)


@dataclass(eq=False)
class Worker:
    world: World
    number: int
    frozen: int = 0
    """Passes that it sleeps."""
    cut_off: bool = False
    """Its connections broke."""
    held: set[TurnRef] = field(default_factory=set)

    def __post_init__(self) -> None:
        world = self.world
        self.beaten_at = world.now
        self.id = WorkerId(f"w{self.number}")
        self.sweeper = Sweeper(
            cast(Queue, world),
            cast(Turns, world),
            self.id,
            lease=LEASE,
            own=self.held.__contains__,
            clock=world.clock,
        )

    async def go_on(self) -> None:
        """What happens in the time of one pass."""
        if self.frozen:
            self.frozen -= 1
            return
        if self.cut_off or self.world.now - self.beaten_at > LEASE / 2:
            self.cut_off = False
            self.held &= {ref for ref, record in self.world.records.items() if record.owner == self.id}
            self.sweeper.begin_anew()
        self.beaten_at = self.world.now
        self.world.counters[self.id] = self.world.counters.get(self.id, 0) + 1
        await self.sweeper.sweep()

    def claim(self, ref: TurnRef, *, told: bool) -> None:
        """``told``: whether the claim's reply came."""
        self.world.hints.discard(ref)
        record = self.world.records[ref]
        if record.owner is None:
            self.world.records[ref] = Record(self.id, record.lease + 1)
            if told:
                self.held.add(ref)
            else:
                self.sweeper.look_anew(ref)

    def let_go(self, ref: TurnRef) -> None:
        self.held.discard(ref)
        self.sweeper.look_anew(ref)


class Fate:
    """What happens at random."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = world.chance
        self.born = WORKERS
        self._replica = (dict(world.records), set(world.hints), dict(world.counters))

    def strike(self) -> None:
        happening = self.chance.choice(
            [
                *(self._claim, self._claim, self._claim, self._put_back, self._put_back, self._kill, self._retire),
                *(self._freeze, self._lose_a_hint, self._break_a_run, self._operate, self._fail_over),
            ]
        )
        worker = self.chance.choice(self.world.workers)
        if self.chance.random() < 0.5:
            self._replica = (dict(self.world.records), set(self.world.hints), dict(self.world.counters))
        if not worker.frozen:
            happening(worker)

    def _claim(self, worker: Worker) -> None:
        if self.world.hints:
            worker.claim(self.chance.choice(sorted(self.world.hints)), told=self.chance.random() < 0.8)

    def _put_back(self, worker: Worker) -> None:
        if worker.held:
            ref = self.chance.choice(sorted(worker.held))
            if self.world.records[ref].owner == worker.id:
                self.world.requeue(ref, hint=self.chance.random() < 0.5)

    def _kill(self, worker: Worker) -> None:
        self.world.workers.remove(worker)
        self.world.workers.append(Worker(self.world, self.born))
        self.born += 1

    def _retire(self, worker: Worker) -> None:
        for ref in list(worker.held):
            if self.world.records[ref].owner == worker.id:
                self.world.requeue(ref, hint=self.chance.random() < 0.8)
        self.world.counters.pop(worker.id, None)
        self._kill(worker)

    def _freeze(self, worker: Worker) -> None:
        worker.frozen = self.chance.randint(1, 12)

    def _lose_a_hint(self, _worker: Worker) -> None:
        if self.world.hints:
            self.world.hints.remove(self.chance.choice(sorted(self.world.hints)))

    def _break_a_run(self, worker: Worker) -> None:
        if worker.held:
            worker.let_go(self.chance.choice(sorted(worker.held)))

    def _fail_over(self, _worker: Worker) -> None:
        """The replica that takes over lacks what was written last."""
        records, hints, counters = self._replica
        self.world.records, self.world.hints, self.world.counters = dict(records), set(hints), dict(counters)
        for worker in self.world.workers:
            worker.cut_off = True

    def _operate(self, _worker: Worker) -> None:
        """An operator moves a turn by hand, and dies before the hint."""
        ref = self.chance.choice(sorted(self.world.records))
        if self.world.records[ref].owner:
            self.world.requeue(ref, hint=False)


async def _live_on(world: World, passes: int, fate: Fate | None) -> None:
    for _ in range(passes):
        world.now += PASS
        for worker in world.chance.sample(world.workers, len(world.workers)):
            await worker.go_on()
        if fate:
            for _ in range(world.chance.randint(0, 3)):
                fate.strike()


@pytest.mark.parametrize("seed", range(100))
def test_in_the_end_every_turn_runs_where_it_is_known_or_waits_with_a_hint(seed: int) -> None:
    world = World(random.Random(seed))
    asyncio.run(_live_on(world, STEPS, Fate(world)))
    asyncio.run(_live_on(world, SETTLED, None))
    for ref, record in world.records.items():
        if record.owner is None:
            assert ref in world.hints
        else:
            owner = world.worker(record.owner)
            assert owner
            assert ref in owner.held
