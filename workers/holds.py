"""The turns that this worker runs, and how it learns that one was stopped or taken.

Nobody asks on and on: as long as the worker's counter rises (``workers.lease``), its turns are its own, and who changes
one of them from outside says so on the worker's channel in the same step. The records are asked where a word came,
where one may have been missed, and where a turn's deadline has passed.
"""

import asyncio
import random
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from enum import Enum
from itertools import islice
from typing import Never

import structlog

from gateway.state.errors import StateUnavailable
from gateway.state.ids import TurnRef
from gateway.state.records import Claim
from gateway.state.turns import Turns

_log = structlog.get_logger(__name__)

AT_ONCE = 64
"""Records asked together, so that no chunk waits behind those of a thousand turns."""

DEADLINES = 1.0
"""Seconds between two looks for turns whose deadline has passed."""


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
        self.due = asyncio.get_running_loop().time() + claim.left
        """When its deadline has passed, by the event loop's clock."""
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


class Holds:
    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._holds: dict[TurnRef, Hold] = {}
        self._asked: dict[Hold, None] = {}
        self._work = asyncio.Event()
        self.words = 0
        """Counts what was said of any turn: one word may be about a turn whose claim is still under way."""

    @contextmanager
    def keep(self, claim: Claim, *, words: int | None = None) -> Iterator[Hold]:
        """Holds the turn until the scope is left. ``words``: how many there were before the claim was asked for."""
        hold = Hold(claim)
        former = self._holds.get(claim.ref)
        if former is not None:
            former.raise_interrupt(Interrupt.LOST)  # taken from it, and come back before it was told
        self._holds[claim.ref] = hold
        if words not in (None, self.words):
            self._ask([hold])
        try:
            yield hold
        finally:
            if self._holds.get(claim.ref) is hold:
                del self._holds[claim.ref]

    def __contains__(self, ref: object) -> bool:
        return ref in self._holds

    @property
    def all(self) -> list[Hold]:
        return list(self._holds.values())

    def nudge(self, ref: TurnRef) -> None:
        """Asks this turn's record now: somebody changed it."""
        self.words += 1
        hold = self._holds.get(ref)
        if hold is not None:
            self._ask([hold])

    def doubt(self) -> None:
        """Asks the records of all turns, a part at a time: words about them may have been missed."""
        self.words += 1
        self._ask(self.all)

    def _ask(self, holds: Collection[Hold]) -> None:
        self._asked.update(dict.fromkeys(holds))
        if holds:
            self._work.set()

    async def run(self) -> None:
        """Asks until cancelled. While Redis is away the turns go on, and what was to be asked is asked after."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ask_records())
            tasks.create_task(self._mind_deadlines())

    async def _ask_records(self) -> Never:
        while True:
            await self._work.wait()
            part = list(islice(self._asked, AT_ONCE))
            for hold in part:
                del self._asked[hold]
            if not self._asked:
                self._work.clear()
            unanswered = await self._check([hold for hold in part if self._holds.get(hold.claim.ref) is hold])
            if unanswered:
                self._ask(unanswered)
                await asyncio.sleep(random.uniform(0.1, 0.3))

    async def _mind_deadlines(self) -> Never:
        """The last word need not be heard: past its deadline, a turn has ended or is ended by being asked for."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(DEADLINES)
            now = clock()
            self._ask([hold for hold in self._holds.values() if hold.due <= now])

    async def _check(self, holds: Collection[Hold]) -> list[Hold]:
        """Raises the interrupts that the records tell of; those of which none could be read are returned."""
        holds = list(holds)
        if not holds:
            return []
        try:
            replies = await self._turns.check([hold.claim for hold in holds])
        except StateUnavailable as error:
            _log.debug("records not asked", reason=str(error))
            return holds
        for hold, reply in zip(holds, replies, strict=True):
            if reply == "STOP":
                hold.raise_interrupt(Interrupt.STOP)
            elif reply not in ("OK", "ERROR"):
                hold.raise_interrupt(Interrupt.LOST)
        return [hold for hold, reply in zip(holds, replies, strict=True) if reply == "ERROR"]
