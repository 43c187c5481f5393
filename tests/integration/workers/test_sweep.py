"""The sweep against a real server, on a clock of the test's own."""

import pytest

from gateway.state import keys
from gateway.state.ids import SessionId, TurnId, TurnRef, new_claim_token
from gateway.state.records import Kind, State
from tests.integration.workers.bench_worker import BenchWorker
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


@pytest.fixture
def sweeper(worker: BenchWorker, clock: Clock) -> Sweeper:
    return Sweeper(worker.queue, worker.turns, lease=LEASE, own=lambda _: False, clock=clock)


async def passes(sweeper: Sweeper, clock: Clock, count: int) -> None:
    for _ in range(count):
        clock.now += PASS
        await sweeper.sweep()


async def owned_turn(worker: BenchWorker) -> TurnRef:
    ref = await worker.begun()
    await worker.queue.pop(0.1)
    await worker.claimed(ref)
    return ref


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


async def test_one_renewal_starts_the_watch_anew(worker: BenchWorker, sweeper: Sweeper, clock: Clock) -> None:
    ref = await worker.begun()
    claim = await worker.claimed(ref)
    for _ in range(4):
        await passes(sweeper, clock, 4)
        await worker.turns.renew([claim])
    assert await state_of(worker, ref) is State.RUNNING


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


async def test_a_turn_of_its_own_is_not_watched(worker: BenchWorker, clock: Clock) -> None:
    sweeper = Sweeper(worker.queue, worker.turns, lease=LEASE, own=lambda _: True, clock=clock)
    ref = await owned_turn(worker)
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
    await worker.redis.hset(keys.turn(*ref), "deadline", "1")
    await passes(sweeper, clock, 1)
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
