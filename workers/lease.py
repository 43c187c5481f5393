"""Leases: how a worker keeps its turns, and how it learns that one was stopped or taken.

The leases of a process are renewed a share of them at a time, so that no chunk waits behind all of them. A
renewal raises a counter in the turn's record (no clock is compared with another's) and brings back what the record has
to say.
"""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from enum import Enum
from math import ceil
from typing import Never

import structlog

from gateway.state.errors import StateUnavailable
from gateway.state.ids import TurnRef
from gateway.state.records import Claim
from gateway.state.turns import Turns

_log = structlog.get_logger(__name__)

RENEWALS_PER_LEASE = 3

_SHARES = 8
"""Parts of all leases, each renewed at a moment of its own."""


class Interrupt(Enum):
    """Why a turn must not go on. A later, graver one replaces an earlier one that was not heeded yet."""

    PUT_BACK = 1
    """The worker drains: others shall take the turn."""
    STOP = 2
    """Somebody asked for the stop: the turn ends here, with what was said so far."""
    LOST = 3
    """The turn is another's, has ended or is gone: nothing more may be written."""


class Hold:
    """A running turn as its worker holds it: the place where interrupts arrive."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.interrupt: Interrupt | None = None
        self._interrupted = asyncio.Event()
        if claim.stop:
            self.raise_interrupt(Interrupt.STOP)

    def raise_interrupt(self, interrupt: Interrupt) -> None:
        if self.interrupt is None or interrupt.value > self.interrupt.value:
            self.interrupt = interrupt
        self._interrupted.set()

    async def interrupted(self) -> None:
        """Returns once there is an interrupt."""
        await self._interrupted.wait()


class LeaseKeeper:
    def __init__(self, turns: Turns, *, lease: float) -> None:
        """``lease``: seconds without a renewal after which another worker may take a turn."""
        self._turns = turns
        self._interval = lease / RENEWALS_PER_LEASE
        self._holds: dict[TurnRef, Hold] = {}
        self._shares: list[set[Hold]] = [set() for _ in range(_SHARES)]
        self._asked: set[Hold] = set()
        self._nudged = asyncio.Event()

    @contextmanager
    def keep(self, claim: Claim) -> Iterator[Hold]:
        """Renews the claim's lease until the scope is left."""
        hold = self._holds[claim.ref] = Hold(claim)
        share = min(self._shares, key=len)
        share.add(hold)
        try:
            yield hold
        finally:
            share.remove(hold)
            del self._holds[claim.ref]

    def keeps(self, ref: TurnRef) -> bool:
        return ref in self._holds

    @property
    def holds(self) -> list[Hold]:
        return list(self._holds.values())

    def nudge(self, ref: TurnRef) -> None:
        """Asks the record now instead of at the next renewal."""
        hold = self._holds.get(ref)
        if hold is not None:
            self._asked.add(hold)
            self._nudged.set()

    async def run(self) -> None:
        """Renews until cancelled. While Redis is away the turns go on: nobody can take them meanwhile."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._heed_nudges())
            for number, share in enumerate(self._shares):
                tasks.create_task(self._renew_again_and_again(share, number * self._interval / _SHARES))

    async def _renew_again_and_again(self, share: set[Hold], wait: float) -> Never:
        clock = asyncio.get_running_loop().time
        due = clock() + wait
        while True:
            await asyncio.sleep(due - clock())
            await self._renew(share)
            # What Redis was too slow for is left out: the shares stay apart, whatever happens.
            due += self._interval * max(1, ceil((clock() - due) / self._interval))

    async def _heed_nudges(self) -> Never:
        while True:
            await self._nudged.wait()
            self._nudged.clear()
            asked, self._asked = self._asked, set()
            await self._renew(asked)

    async def _renew(self, holds: Collection[Hold]) -> None:
        holds = list(holds)
        if not holds:
            return
        try:
            replies = await self._turns.renew([hold.claim for hold in holds])
        except StateUnavailable as error:
            _log.debug("leases not renewed", reason=str(error))
            return
        for hold, reply in zip(holds, replies, strict=True):
            if reply == "STOP":
                hold.raise_interrupt(Interrupt.STOP)
            elif reply not in ("OK", "ERROR"):
                hold.raise_interrupt(Interrupt.LOST)
