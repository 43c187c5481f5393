"""The pool on a real server: how turns are taken, bounded, and let go."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.state.ids import TurnRef, new_claim_token
from gateway.state.records import Claim, Kind, Result, State
from tests.integration.workers.bench_worker import BenchWorker
from workers.drain import Drain
from workers.holds import Hold, Interrupt
from workers.pool import Pool, PoolLimits


class Turns:
    """Stands for what a turn does: notes that it runs and waits to be let go or interrupted."""

    def __init__(self, worker: BenchWorker) -> None:
        self._worker = worker
        self.running: list[TurnRef] = []
        self.most = 0
        self.interrupts: list[Interrupt] = []
        self.release = asyncio.Event()
        self.changed = asyncio.Condition()

    async def run(self, hold: Hold) -> None:
        self.running.append(hold.claim.ref)
        self.most = max(self.most, len(self.running))
        await self._tell()
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(self.release.wait()), group.create_task(hold.interrupted())]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        if hold.interrupt is None:
            writer = self._worker.journal.open(hold.claim, on_lost=lambda: None)
            await writer.finish(Kind.DONE, b"{}", Result("STOP"))
        else:
            self.interrupts.append(hold.interrupt)
            await self._worker.turns.put_back(hold.claim)
        self.running.remove(hold.claim.ref)
        await self._tell()

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self.changed:
            await self.changed.wait_for(condition)


@pytest.fixture
def turns(worker: BenchWorker) -> Turns:
    return Turns(worker)


@asynccontextmanager
async def pool_of(
    worker: BenchWorker,
    run_turn: Callable[[Hold], Awaitable[None]],
    *,
    concurrency: int = 4,
    grace: float = 5.0,
    let_go: Callable[[TurnRef], None] = lambda _: None,
) -> AsyncIterator[Drain]:
    """A pool at work; leaving the scope drains it."""
    drain = Drain()
    limits = PoolLimits(concurrency=concurrency, claims=3, grace=grace, history_turns=10)
    pool = Pool(worker.id, worker.queue, worker.turns, worker.holds, run_turn, limits, let_go=let_go)
    async with asyncio.TaskGroup() as group:
        group.create_task(pool.run(drain))
        yield drain
        if not drain.begun.is_set():
            drain.ask()


async def test_no_more_turns_run_at_once_than_the_worker_may(worker: BenchWorker, turns: Turns) -> None:
    refs = [await worker.begun() for _ in range(5)]
    async with pool_of(worker, turns.run, concurrency=2):
        await turns.until(lambda: len(turns.running) == 2)
        assert (await worker.queue.census()).waiting == 3
        turns.release.set()
        for ref in refs:
            await _ended(worker, ref)
    assert turns.most == 2


async def test_a_draining_pool_lets_turns_finish(worker: BenchWorker, turns: Turns) -> None:
    ref = await worker.begun()
    async with pool_of(worker, turns.run) as drain:
        await turns.until(lambda: bool(turns.running))
        drain.ask()
        turns.release.set()
    assert turns.interrupts == []
    assert await worker.kinds(ref) == [Kind.START, Kind.DONE]


async def test_a_draining_pool_claims_no_more(worker: BenchWorker, turns: Turns) -> None:
    first = await worker.begun()
    async with pool_of(worker, turns.run) as drain:
        await turns.until(lambda: turns.running == [first])
        drain.ask()
        late = await worker.begun()
        turns.release.set()
    status = await worker.turns.status(late)
    assert status is not None
    assert status.state is State.QUEUED
    assert await worker.queue.pop(0.1) == late


async def test_what_does_not_finish_in_the_grace_time_is_put_back(worker: BenchWorker, turns: Turns) -> None:
    ref = await worker.begun()
    async with pool_of(worker, turns.run, grace=0.0):
        await turns.until(lambda: bool(turns.running))
    assert turns.interrupts == [Interrupt.PUT_BACK]
    assert await worker.queue.pop(0.1) == ref


async def test_a_second_request_to_drain_hurries(worker: BenchWorker, turns: Turns) -> None:
    await worker.begun()
    async with pool_of(worker, turns.run, grace=3600) as drain:
        await turns.until(lambda: bool(turns.running))
        drain.ask()
        drain.ask()
    assert turns.interrupts == [Interrupt.PUT_BACK]


async def test_a_turn_that_breaks_does_not_take_the_others_with_it(worker: BenchWorker, turns: Turns) -> None:
    broken, fine = await worker.begun("broken"), await worker.begun("fine")

    async def run(hold: Hold) -> None:
        if hold.claim.ref == broken:
            raise RuntimeError("a bug")
        await turns.run(hold)

    turns.release.set()
    async with pool_of(worker, run):
        await _ended(worker, fine)
    status = await worker.turns.status(broken)
    assert status is not None
    assert status.state is State.RUNNING


async def test_a_stop_that_overtakes_the_claims_reply_is_heeded(
    worker: BenchWorker, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = worker.turns.claim

    async def overtaken(ref: TurnRef, *args: Any, **named: Any) -> Claim | None:
        claimed = await claim(ref, *args, **named)
        words = worker.holds.words
        await worker.turns.stop(ref)
        while worker.holds.words == words:
            await asyncio.sleep(0)
        return claimed

    monkeypatch.setattr(worker.turns, "claim", overtaken)
    await worker.begun()
    async with pool_of(worker, turns.run):
        await turns.until(lambda: turns.interrupts == [Interrupt.STOP])


async def test_a_worker_is_told_of_every_turn_that_it_is_done_with(worker: BenchWorker, turns: Turns) -> None:
    """Of those that it did not get, too."""
    owned, ran = await worker.begun(), await worker.begun()
    await worker.turns.claim(owned, new_claim_token(worker.id), claims_allowed=3)
    done: list[TurnRef] = []
    turns.release.set()
    async with pool_of(worker, turns.run, let_go=done.append):
        await _ended(worker, ran)
    assert set(done) == {owned, ran}


async def test_a_hint_for_a_turn_that_another_owns_is_passed_over(worker: BenchWorker, turns: Turns) -> None:
    owned = await worker.begun()
    await worker.turns.claim(owned, new_claim_token(worker.id), claims_allowed=3)
    free = await worker.begun()
    turns.release.set()
    async with pool_of(worker, turns.run):
        await _ended(worker, free)
    assert owned not in turns.running


async def _ended(worker: BenchWorker, ref: TurnRef) -> None:
    await worker.until(ref, lambda status: status.state.ended)
