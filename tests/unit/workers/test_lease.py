"""When a worker beats, and when it doubts that its turns are still its own, on a clock that leaps."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import cast

import pytest

from gateway.state.errors import StateUnavailable
from gateway.state.ids import WorkerId
from gateway.state.queue import Queue
from gateway.state.records import About
from tests.instant import run_instantly
from workers.lease import LONGEST_PAUSE, Lease

LEASE = 2.4
PAUSE = LEASE / 3
ABOUT = About("gemini-test", offline=True, concurrency=4)


class Counter:
    """Redis, as far as a beat goes."""

    def __init__(self) -> None:
        self.away = False
        self.slowness = 0.0
        self.counter = 0
        self.moments: list[float] = []
        self.told: list[About | None] = []
        self.resigned = False
        self.doubts = 0
        self.skipped = 0.0
        """Seconds for which the process was frozen: its clock has moved on, and its timers have not."""

    def clock(self) -> float:
        return asyncio.get_running_loop().time() + self.skipped

    def doubt(self) -> None:
        self.doubts += 1

    async def beat(self, _worker: WorkerId, about: About | None, *, lifetime: float) -> int:
        await asyncio.sleep(self.slowness)
        if self.away:
            raise StateUnavailable("away")
        self.moments.append(asyncio.get_running_loop().time())
        self.told.append(about)
        self.counter += 1
        return self.counter

    async def resign(self, _worker: WorkerId) -> None:
        if self.away:
            raise StateUnavailable("away")
        self.resigned = True


def beating(
    scenario: Callable[[Lease, Counter, asyncio.Event], Awaitable[None]], *, lease_seconds: float = LEASE
) -> Counter:
    async def run() -> Counter:
        counter, leaving = Counter(), asyncio.Event()
        lease = Lease(
            cast(Queue, counter),
            WorkerId("w"),
            ABOUT,
            lease=lease_seconds,
            on_doubt=counter.doubt,
            clock=counter.clock,
        )
        task = asyncio.ensure_future(lease.run(leaving))
        await scenario(lease, counter, leaving)
        task.cancel()
        return counter

    return run_instantly(run())


@pytest.mark.parametrize(("lease", "pause"), [(LEASE, PAUSE), (0.3, 0.1), (60.0, LONGEST_PAUSE)])
def test_a_worker_beats_three_times_a_lease_and_often_enough_for_the_gateways(lease: float, pause: float) -> None:
    async def scenario(_lease: Lease, _counter: Counter, _leaving: asyncio.Event) -> None:
        await asyncio.sleep(10 * pause)

    counter = beating(scenario, lease_seconds=lease)
    assert counter.moments[0] == 0
    gaps = [after - before for before, after in pairwise(counter.moments)]
    assert gaps == pytest.approx([pause] * len(gaps))
    assert counter.doubts == 0
    assert set(counter.told) == {ABOUT}


def test_a_leaving_worker_is_counted_on_no_more_at_once_and_beats_on() -> None:
    async def scenario(_lease: Lease, counter: Counter, leaving: asyncio.Event) -> None:
        await asyncio.sleep(1.2 * PAUSE)
        assert counter.told == [ABOUT, ABOUT]
        leaving.set()
        await asyncio.sleep(0.001)
        assert counter.told == [ABOUT, ABOUT, None]
        await asyncio.sleep(10 * PAUSE)
        assert set(counter.told[2:]) == {None}
        assert 12 <= len(counter.told) <= 13
        assert not counter.resigned

    assert beating(scenario).doubts == 0


def test_a_worker_that_leaves_during_a_beat_says_so_with_the_next_at_once() -> None:
    async def scenario(_lease: Lease, counter: Counter, leaving: asyncio.Event) -> None:
        counter.slowness = 0.1
        await asyncio.sleep(PAUSE + 0.15)
        leaving.set()
        await asyncio.sleep(0.2)
        assert counter.told == [ABOUT, ABOUT, None]

    beating(scenario)


@pytest.mark.parametrize("away", [False, True])
def test_its_end_is_told_if_redis_is_there(away: bool) -> None:
    async def scenario(lease: Lease, counter: Counter, _leaving: asyncio.Event) -> None:
        counter.away = away
        await lease.resign()

    assert beating(scenario).resigned is not away


async def _away(counter: Counter) -> None:
    counter.away = True
    await asyncio.sleep(PAUSE)
    counter.away = False


async def _frozen(counter: Counter) -> None:
    counter.skipped = 0.6 * LEASE


async def _slow(counter: Counter) -> None:
    counter.slowness = 0.6 * LEASE
    await asyncio.sleep(LEASE)
    counter.slowness = 0.0


async def _forgotten(counter: Counter) -> None:
    counter.counter = 0


async def _set_back(counter: Counter) -> None:
    counter.counter -= 1


async def _counted_twice(counter: Counter) -> None:
    counter.counter += 1


@pytest.mark.parametrize("trouble", [_away, _frozen, _slow, _forgotten, _set_back, _counted_twice])
def test_whatever_may_have_cost_it_a_turn_or_a_word_makes_it_doubt(
    trouble: Callable[[Counter], Awaitable[None]],
) -> None:
    async def scenario(_lease: Lease, counter: Counter, _leaving: asyncio.Event) -> None:
        await asyncio.sleep(5.5 * PAUSE)
        assert counter.doubts == 0
        await trouble(counter)
        await asyncio.sleep(2 * LEASE)
        doubts = counter.doubts
        assert doubts >= 1
        await asyncio.sleep(10 * LEASE)
        assert counter.doubts == doubts, "it is over"

    beating(scenario)
