"""The sweep against a real server, on a clock of the test's own."""

from typing import Any

import pytest

from gateway.state import keys
from gateway.state.errors import StateUnavailable
from gateway.state.ids import SessionId, TurnId, TurnRef, new_claim_token, new_worker_id
from gateway.state.records import Claim, Kind, State
from tests.integration.gateway.state.former import FormerWorker
from tests.integration.workers.bench_worker import BenchWorker
from workers.sightings import BURIAL
from workers.sweep import Sweeper

LEASE = 2.0
PASS = 0.5


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Watcher(Sweeper):
    """Another worker's sweep; it beats, as that worker would."""

    def __init__(self, worker: BenchWorker, clock: Clock) -> None:
        self.id = new_worker_id()
        self.held: set[TurnRef] = set()
        self._bench = worker
        super().__init__(
            worker.queue, worker.turns, self.id, lease=LEASE, own=lambda ref: ref in self.held, clock=clock
        )

    async def sweep(self) -> None:
        await self._bench.queue.beat(self.id, self._bench.about, lifetime=60)
        await super().sweep()


@pytest.fixture
def sweeper(worker: BenchWorker, clock: Clock) -> Watcher:
    return Watcher(worker, clock)


async def passes(sweeper: Sweeper, clock: Clock, count: int, *living: BenchWorker) -> None:
    for _ in range(count):
        clock.now += PASS
        for worker in living:
            await beat(worker)
        await sweeper.sweep()


async def beat(worker: BenchWorker) -> None:
    await worker.queue.beat(worker.id, worker.about, lifetime=60)


async def owned_turn(worker: BenchWorker) -> TurnRef:
    return (await claimed_turn(worker)).ref


async def claimed_turn(worker: BenchWorker) -> Claim:
    ref = await worker.begun()
    await worker.queue.pop(0.1)
    return await worker.claimed(ref)


async def looks(worker: BenchWorker) -> int:
    """Scripts run so far."""
    stats: Any = await worker.redis.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])


async def state_of(worker: BenchWorker, ref: TurnRef) -> State:
    status = await worker.turns.status(ref)
    assert status is not None
    return status.state


async def test_a_turn_whose_owner_stands_still_for_a_lease_is_offered_to_the_others(
    worker: BenchWorker, sweeper: Sweeper, clock: Clock
) -> None:
    ref = await owned_turn(worker)
    await passes(sweeper, clock, 5)
    assert await state_of(worker, ref) is State.QUEUED
    assert await worker.queue.pop(0.1) == ref


async def test_a_turn_is_left_alone_before_the_lease_is_over(
    worker: BenchWorker, sweeper: Sweeper, clock: Clock
) -> None:
    ref = await owned_turn(worker)
    await passes(sweeper, clock, 4)
    assert await state_of(worker, ref) is State.RUNNING


async def test_a_worker_without_a_counter_stands_still_too(worker: BenchWorker, sweeper: Sweeper, clock: Clock) -> None:
    ref = await owned_turn(worker)
    await worker.queue.resign(worker.id)
    await passes(sweeper, clock, 4)
    assert await state_of(worker, ref) is State.RUNNING
    await passes(sweeper, clock, 1)
    assert await state_of(worker, ref) is State.QUEUED


async def test_one_beat_starts_the_watch_anew(worker: BenchWorker, sweeper: Sweeper, clock: Clock) -> None:
    ref = await owned_turn(worker)
    for _ in range(4):
        await passes(sweeper, clock, 4)
        await beat(worker)
    assert await state_of(worker, ref) is State.RUNNING


async def test_one_dead_worker_loses_all_its_turns_and_a_living_one_none(
    worker: BenchWorker, sweeper: Sweeper, clock: Clock
) -> None:
    dying = BenchWorker(worker.redis)
    await beat(dying)
    lost = [await owned_turn(dying) for _ in range(3)]
    kept = [await owned_turn(worker) for _ in range(3)]
    await passes(sweeper, clock, 8, worker)
    assert {await state_of(worker, ref) for ref in lost} == {State.QUEUED}
    assert {await state_of(worker, ref) for ref in kept} == {State.RUNNING}


async def test_a_running_turn_of_a_living_worker_is_looked_at_once(
    worker: BenchWorker, sweeper: Sweeper, clock: Clock
) -> None:
    for _ in range(20):
        await owned_turn(worker)
    await passes(sweeper, clock, 1, worker)
    before = await looks(worker)
    await passes(sweeper, clock, 10, worker)
    assert await looks(worker) - before == 20, "two beats a pass, and not one look"


async def test_what_a_look_saw_before_the_worker_was_done_with_the_turn_is_not_remembered(
    worker: BenchWorker, sweeper: Sweeper, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await owned_turn(worker)
    observe = worker.turns.observe

    async def overtaken(refs: Any) -> Any:
        seen = await observe(refs)
        sweeper.look_anew(ref)
        return seen

    with monkeypatch.context() as patch:
        patch.setattr(worker.turns, "observe", overtaken)
        await passes(sweeper, clock, 1, worker)
    before = await looks(worker)
    await passes(sweeper, clock, 2, worker)
    assert await looks(worker) - before == 2 * 2 + 1


async def test_in_doubt_all_are_looked_at_once_more(worker: BenchWorker, sweeper: Sweeper, clock: Clock) -> None:
    await owned_turn(worker)
    await passes(sweeper, clock, 1, worker)
    before = await looks(worker)
    sweeper.look_at_all_anew()
    await passes(sweeper, clock, 2, worker)
    assert await looks(worker) - before == 2 * 2 + 1


async def test_a_redis_that_takes_no_writes_takes_no_worker_for_dead(
    worker: BenchWorker, sweeper: Sweeper, clock: Clock
) -> None:
    """It answers every read meanwhile, and nobody can beat: also not this worker, which sees that."""
    ref = await owned_turn(worker)
    await passes(sweeper, clock, 2, worker)
    for _ in range(12):
        clock.now += PASS
        await Sweeper.sweep(sweeper)
    assert await state_of(worker, ref) is State.RUNNING
    await passes(sweeper, clock, 4)
    assert await state_of(worker, ref) is State.RUNNING, "each may beat again before it is judged"
    await passes(sweeper, clock, 1)
    assert await state_of(worker, ref) is State.QUEUED


async def test_an_outage_starts_the_watch_anew_and_all_is_looked_at(
    worker: BenchWorker, sweeper: Sweeper, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await owned_turn(worker)
    await passes(sweeper, clock, 4)

    async def away() -> None:
        raise StateUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(worker.queue, "leases", away)
        patch.setattr(sweeper, "_pause", _once())
        with pytest.raises(_Enough):
            await sweeper.run()
    before = await looks(worker)
    await passes(sweeper, clock, 1)
    assert await looks(worker) - before == 2, "a beat and a look"
    await passes(sweeper, clock, 3)
    assert await state_of(worker, ref) is State.RUNNING
    await passes(sweeper, clock, 1)
    assert await state_of(worker, ref) is State.QUEUED


async def test_a_turn_that_its_own_worker_knows_nothing_of_is_taken_back(worker: BenchWorker, clock: Clock) -> None:
    """A claim whose reply never came, or a run that broke: the worker lives, and nobody else would ever look."""
    sweeper = Watcher(worker, clock)
    ref = await worker.begun()
    await worker.queue.pop(0.1)
    await worker.turns.claim(ref, new_claim_token(sweeper.id), claims_allowed=3)
    await passes(sweeper, clock, 4)
    assert await state_of(worker, ref) is State.RUNNING
    await passes(sweeper, clock, 1)
    assert await state_of(worker, ref) is State.QUEUED
    assert await worker.queue.pop(0.1) == ref


async def test_who_gave_a_turn_up_gives_its_lost_hint_again(worker: BenchWorker, clock: Clock) -> None:
    """Put back by a worker that goes on living; to those who saw it running there it runs there still."""
    giver, stranger = Watcher(worker, clock), Watcher(worker, clock)
    ref = await worker.begun()
    await worker.queue.pop(0.1)
    claim = await worker.turns.claim(ref, new_claim_token(giver.id), claims_allowed=3)
    assert claim
    giver.held.add(ref)
    for sweeper in (giver, stranger):
        await passes(sweeper, clock, 1)
    await worker.turns.put_back(claim)
    assert await worker.queue.pop(0.1) == ref, "and whoever popped it died"
    giver.held.remove(ref)
    for _ in range(3):
        await passes(stranger, clock, 1)
    assert await worker.queue.waiting([ref]) == set()
    await passes(giver, clock, 2)
    assert await worker.queue.waiting([ref]) == {ref}


async def test_a_lost_hint_of_a_worker_that_died_is_given_by_all(
    worker: BenchWorker, sweeper: Sweeper, clock: Clock
) -> None:
    claim = await claimed_turn(worker)
    await passes(sweeper, clock, 1)
    await worker.turns.put_back(claim)
    assert await worker.queue.pop(0.1) == claim.ref
    await passes(sweeper, clock, 6)
    assert await worker.queue.waiting([claim.ref]) == {claim.ref}


async def test_who_gave_a_turn_up_watches_over_its_next_owner(worker: BenchWorker, clock: Clock) -> None:
    giver = Watcher(worker, clock)
    ref = await worker.begun()
    claim = await worker.turns.claim(ref, new_claim_token(giver.id), claims_allowed=3)
    assert claim
    giver.held.add(ref)
    await passes(giver, clock, 1)
    await worker.turns.put_back(claim)
    await worker.claimed(ref)
    giver.held.remove(ref)
    await passes(giver, clock, 5)
    assert await state_of(worker, ref) is State.QUEUED


async def test_an_owner_that_is_remembered_wrongly_is_looked_up_before_anything_is_done(
    worker: BenchWorker, sweeper: Sweeper, clock: Clock
) -> None:
    other = BenchWorker(worker.redis)
    claim = await claimed_turn(other)
    await passes(sweeper, clock, 2, worker, other)
    await worker.turns.put_back(claim)
    await worker.claimed(claim.ref)
    await passes(sweeper, clock, 8, worker)
    assert await state_of(worker, claim.ref) is State.RUNNING
    before = await looks(worker)
    await passes(sweeper, clock, 4, worker)
    assert await looks(worker) - before == 2 * 4, "its new owner is remembered"


async def test_a_former_worker_keeps_its_turn_while_it_renews_and_loses_it_after(
    worker: BenchWorker, sweeper: Sweeper, clock: Clock
) -> None:
    former, ref = FormerWorker(worker.redis), await worker.begun()
    assert await former.claim(ref)
    for _ in range(6):
        await passes(sweeper, clock, 2)
        assert await former.renew(ref)
    await passes(sweeper, clock, 4)
    assert await state_of(worker, ref) is State.RUNNING
    await passes(sweeper, clock, 1)
    assert await state_of(worker, ref) is State.QUEUED


async def test_the_counter_of_a_worker_that_died_long_ago_is_forgotten(
    worker: BenchWorker, sweeper: Watcher, clock: Clock
) -> None:
    await passes(sweeper, clock, int(BURIAL * LEASE / PASS))
    assert set(await worker.queue.leases()) == {worker.id, sweeper.id}
    await passes(sweeper, clock, 1)
    assert set(await worker.queue.leases()) == {sweeper.id}


async def test_a_pause_of_the_sweeper_itself_starts_the_watch_anew(
    worker: BenchWorker, sweeper: Sweeper, clock: Clock
) -> None:
    ref = await owned_turn(worker)
    await passes(sweeper, clock, 3)
    clock.now += 60
    await passes(sweeper, clock, 4)
    assert await state_of(worker, ref) is State.RUNNING
    await passes(sweeper, clock, 1)
    assert await state_of(worker, ref) is State.QUEUED


async def test_a_pause_between_the_judgement_and_the_taking_takes_nothing(
    worker: BenchWorker, sweeper: Sweeper, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await owned_turn(worker)
    await passes(sweeper, clock, 4)
    take = sweeper._take

    async def frozen(*args: Any) -> None:
        clock.now += 60
        await take(*args)

    with monkeypatch.context() as patch:
        patch.setattr(sweeper, "_take", frozen)
        await passes(sweeper, clock, 1)
    assert await state_of(worker, ref) is State.RUNNING


async def test_a_turn_of_its_own_is_not_watched(worker: BenchWorker, sweeper: Watcher, clock: Clock) -> None:
    ref = await owned_turn(worker)
    sweeper.held.add(ref)
    await passes(sweeper, clock, 10)
    assert await state_of(worker, ref) is State.RUNNING


async def test_a_lost_hint_is_given_again(worker: BenchWorker, sweeper: Sweeper, clock: Clock) -> None:
    ref = await worker.begun()
    assert await worker.queue.pop(0.1) == ref
    await passes(sweeper, clock, 2)
    assert await worker.queue.pop(0.1) == ref


async def test_a_waiting_turn_with_its_hint_is_left_in_its_place(
    worker: BenchWorker, sweeper: Sweeper, clock: Clock
) -> None:
    first, second = await worker.begun(), await worker.begun()
    await passes(sweeper, clock, 3)
    assert [await worker.queue.pop(0.1), await worker.queue.pop(0.1)] == [first, second]
    assert await worker.queue.pop(0.1) is None


async def test_an_ended_turn_leaves_the_index_if_its_worker_does_not_see_to_it(
    worker: BenchWorker, sweeper: Sweeper, clock: Clock
) -> None:
    ref = await worker.begun()
    await worker.turns.stop(ref)
    await worker.queue.enter(ref)
    await passes(sweeper, clock, 1)
    assert [entry for entry, _ in await worker.queue.live(limit=10)] == [ref]
    await passes(sweeper, clock, 1)
    assert await worker.queue.live(limit=10) == []


async def test_an_entry_without_a_turn_is_dropped_once_its_begin_is_refused_anyway(
    worker: BenchWorker, sweeper: Sweeper, clock: Clock
) -> None:
    orphan = TurnRef(SessionId("s" * 32), TurnId("0" * 24))
    await worker.queue.enter(orphan)
    await passes(sweeper, clock, 2)
    assert [ref for ref, _ in await worker.queue.live(limit=10)] == [orphan]
    await worker.redis.zadd(keys.LIVE, {str(orphan): 1.0})
    await passes(sweeper, clock, 1)
    assert await worker.queue.live(limit=10) == []


async def test_a_turn_past_its_deadline_is_ended_as_failed(worker: BenchWorker, sweeper: Sweeper, clock: Clock) -> None:
    ref = await owned_turn(worker)
    await passes(sweeper, clock, 1, worker)
    status = await worker.turns.status(ref)
    assert status
    await worker.redis.hset(keys.turn(*ref), "deadline", "1")
    clock.now += status.left
    await passes(sweeper, clock, 1, worker)
    assert (await worker.kinds(ref))[-1] is Kind.FAILED
    assert await worker.queue.live(limit=10) == []


async def test_a_stop_that_the_dead_owner_never_heeded_is_carried_out(
    worker: BenchWorker, sweeper: Sweeper, clock: Clock
) -> None:
    ref = await owned_turn(worker)
    await worker.turns.stop(ref)
    await passes(sweeper, clock, 5)
    assert (await worker.kinds(ref))[-1] is Kind.STOPPED


async def test_a_turn_that_outlives_every_worker_ends_as_failed(
    worker: BenchWorker, sweeper: Sweeper, clock: Clock
) -> None:
    ref = await worker.begun()
    for _ in range(3):
        assert await worker.queue.pop(0.1) == ref
        await worker.claimed(ref)
        await passes(sweeper, clock, 6)
    assert await worker.turns.claim(ref, new_claim_token(worker.id), claims_allowed=3) is None
    assert (await worker.kinds(ref))[-1] is Kind.FAILED


class _Enough(Exception):
    pass


def _once() -> Any:
    passes = iter([None])

    async def pause() -> None:
        if next(passes, _Enough) is _Enough:
            raise _Enough

    return pause
