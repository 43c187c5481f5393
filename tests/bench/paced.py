"""Streams at a measured pace: all are opened, then their chunks begin, then a while is measured."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from math import inf

from tests.bench import kernel, stamp
from tests.bench.directive import Directive
from tests.bench.knock import get
from tests.bench.load import Load
from tests.bench.plan import Outcome, Plan
from tests.bench.systems import System

SECOND = 1_000_000
EVERY = SECOND // 10
"""Ten chunks a second on each stream."""

_SETTLING = SECOND // 2
_ENDING = 3 * SECOND
_QUIET = 0.1
_QUIET_WAIT = 20.0


@dataclass(frozen=True, slots=True)
class Run:
    outcome: Outcome
    expected: int
    """Chunks due in the window."""
    cpu: Mapping[str, float]
    """Seconds in the window, by role."""

    def micros(self, role: str) -> float:
        """Microseconds of CPU for each chunk that arrived; infinitely many where none did."""
        return self.cpu[role] * 1e6 / self.outcome.chunks if self.outcome.chunks else inf


async def paced(
    load: Load,
    system: System,
    streams: int,
    window: float,
    tools: Mapping[str, int] | None = None,
    during: AbstractContextManager[object] | None = None,
) -> Run:
    """``window`` in seconds. The streams are gone when it returns. ``tools`` are metered as well; ``during`` is
    entered for the window."""
    plan, expected = _plan(system, streams, int(window * SECOND))
    run = await measured(load, plan, {**system.pids, **(tools or {})}, during)
    return replace(run, expected=expected)


def _plan(system: System, streams: int, window: int) -> tuple[Plan, int]:
    begin = stamp.now() + SECOND // 10
    ramp = int(streams * system.setup * SECOND)
    at = begin + ramp + _SETTLING
    since = at + EVERY + _SETTLING
    until = since + window
    directive = Directive(at=at, every=EVERY, count=(until - at) // EVERY + 3)
    plan = Plan(
        dialect=system.dialect,
        ports=tuple(system.ports),
        message=f"tell me a story {directive}",
        streams=streams,
        begin=begin,
        ramp=ramp,
        since=since,
        until=until,
        stop=until + _ENDING,
    )
    return plan, streams * window // EVERY


async def measured(
    load: Load, plan: Plan, pids: Mapping[str, int], during: AbstractContextManager[object] | None = None
) -> Run:
    """Any plan, with what it cost the processes between ``since`` and ``until``."""
    async with asyncio.TaskGroup() as tasks:
        answered = tasks.create_task(load.run(plan))
        metered = tasks.create_task(_meter(pids, plan.since, plan.until, during or nullcontext()))
    return Run(answered.result(), 0, metered.result())


async def _meter(
    pids: Mapping[str, int], since: int, until: int, during: AbstractContextManager[object]
) -> dict[str, float]:
    """Seconds of CPU that each process uses between two moments."""
    await asyncio.sleep((since - stamp.now()) / SECOND)
    with during:
        before = {role: kernel.cpu(pid) for role, pid in pids.items()}
        await asyncio.sleep((until - stamp.now()) / SECOND)
        return {role: kernel.cpu(pid) - before[role] for role, pid in pids.items()}


async def quiet(system: System, upstream: int | None = None) -> None:
    """Returns when the system does nothing any more; answers that nobody waits for are ended at the stand-in."""
    if upstream is not None:
        await get(upstream, "/end", "POST")
    deadline = time.monotonic() + _QUIET_WAIT
    while time.monotonic() < deadline:
        since = stamp.now()
        used = await _meter(system.pids, since, since + int(2 * _QUIET * SECOND), nullcontext())
        if sum(used.values()) < _QUIET * 2 * _QUIET:
            return
