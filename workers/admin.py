"""``python -m workers queue`` and ``requeue``: looks at the turns that have not ended, and moves one that is stuck.

What users said is not shown.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from gateway.state.connect import Client
from gateway.state.ids import TurnId, TurnRef, WorkerId, worker_of
from gateway.state.queue import Queue
from gateway.state.records import State, TurnStatus
from gateway.state.turns import TurnLimits, Turns

_MOST = 10_000
"""Turns that are looked at, oldest first."""

_TRIES = 20
_SHORTEST = 6
_HEAD = ("TURN", "STATE", "AGE", "ATTEMPT", "WORKER", "LEASE", "SESSION")
_WIDTHS = (24, 8, 8, 7, 16, 14, 12)

Sleep = Callable[[float], Awaitable[None]]

Look = tuple[TurnStatus | None, int | None]
"""A turn's record, and the counter that rises while its worker lives."""


@dataclass(frozen=True, slots=True)
class Row:
    ref: TurnRef
    age: float
    status: TurnStatus | None
    beats: bool | None
    """Whether its worker's counter moved between two looks; None for a turn that nobody runs."""


class Admin:
    def __init__(self, redis: Client, output: TextIO, *, sleep: Sleep = asyncio.sleep) -> None:
        self._queue = Queue(redis)
        self._turns = Turns(redis, self._queue, TurnLimits())
        self._output = output
        self._sleep = sleep

    async def show(self, watch: float) -> int:
        """Lists the turns; looks twice, ``watch`` seconds apart, as a lease is a counter of the worker's that moves."""
        census = await self._queue.census()
        rows = await self._rows(watch)
        self._say(
            f"{census.waiting} waiting, {census.live} in all, {len(census.workers)} workers alive, "
            f"the oldest waits for {census.oldest_wait:.0f} s"
        )
        if rows:
            self._say(_line(_HEAD))
        for row in rows:
            self._say(_line(_cells(row, watch)))
        return 0

    async def requeue(self, text: str) -> int:
        """Takes a running turn from its worker, or hints again that it waits. ``text``: how its id begins."""
        found = await self._find(text)
        if len(found) != 1:
            self._say(f"{text}: {'several turns begin so' if found else 'no turn that has not ended begins so'}")
            return 1
        [ref] = found
        for _ in range(_TRIES):
            [status] = await self._turns.observe([ref])
            said = await self._moved(ref, status)
            if said:
                self._say(f"{ref.turn}: {said}")
                return 0 if status is not None and not status.state.ended else 1
        self._say(f"{ref.turn}: it changes hands faster than it can be taken; try again")
        return 1

    async def _moved(self, ref: TurnRef, status: TurnStatus | None) -> str:
        """What happened; empty where the turn moved meanwhile."""
        if status is None or status.state.ended:
            return "has ended"
        if status.state is State.QUEUED:
            await self._queue.ready(ref)
            return "waits; the workers are told so again"
        if not await self._turns.expire(ref, status):
            [after] = await self._turns.observe([ref])
            return "had been asked to stop, and is ended" if after is None or after.state.ended else ""
        worker = worker_of(status.owner) if status.owner else "nobody"
        return f"taken from worker {worker}; it waits for the next one, and its readers get `reset`"

    async def _find(self, text: str) -> list[TurnRef]:
        if not re.fullmatch(rf"[0-9a-f]{{{_SHORTEST},24}}", text):
            return []
        return [ref for ref, _ in await self._queue.live(limit=_MOST) if ref.turn.startswith(text)]

    async def _rows(self, watch: float) -> list[Row]:
        live = await self._queue.live(limit=_MOST)
        refs = [ref for ref, _ in live]
        before = after = await self._look(refs)
        if any(status is not None and status.state is State.RUNNING for status, _ in before):
            await self._sleep(watch)
            after = await self._look(refs)
        rows = [
            Row(ref, age, now[0], _beats(then, now)) for (ref, age), then, now in zip(live, before, after, strict=True)
        ]
        return [row for row in rows if row.status is None or not row.status.state.ended]

    async def _look(self, refs: Sequence[TurnRef]) -> list[Look]:
        counters = await self._queue.leases()
        return [(status, _counter(status, counters)) for status in await self._turns.observe(refs)]

    def _say(self, line: str) -> None:
        self._output.write(f"{line.rstrip()}\n")


def _counter(status: TurnStatus | None, counters: Mapping[WorkerId, int]) -> int | None:
    """What rises while the turn's worker lives."""
    if status is None or status.owner is None:
        return None
    return status.lease if status.renewed else counters.get(worker_of(status.owner))


def _beats(then: Look, now: Look) -> bool | None:
    (before, counted), (status, counter) = then, now
    if before is None or status is None or status.state is not State.RUNNING:
        return None
    return (before.owner, before.lease, counted) != (status.owner, status.lease, counter)


def _cells(row: Row, watch: float) -> tuple[str, ...]:
    status = row.status
    session = row.ref.session[:12]
    if status is None:
        return (TurnId(row.ref.turn), "no record", f"{row.age:.1f} s", "", "", "", session)
    lease = {None: "", True: "beats", False: f"still {watch:g} s"}[row.beats]
    owner = worker_of(status.owner) if status.owner else ""
    return (row.ref.turn, status.state.value, f"{row.age:.1f} s", str(status.attempt), owner, lease, session)


def _line(cells: tuple[str, ...]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
