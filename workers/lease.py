"""Leases: how a worker keeps its turns, and how it learns that one was stopped or taken.

One task renews every lease of the process in one pipeline. A renewal raises a counter in the turn's record (no clock is
compared with another's) and brings back what the record has to say.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

import structlog

from gateway.state.errors import StateUnavailable
from gateway.state.ids import TurnRef
from gateway.state.records import Claim
from gateway.state.turns import Turns

_log = structlog.get_logger(__name__)

RENEWALS_PER_LEASE = 3


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
        self._nudged = asyncio.Event()

    @contextmanager
    def keep(self, claim: Claim) -> Iterator[Hold]:
        """Renews the claim's lease until the scope is left."""
        hold = self._holds[claim.ref] = Hold(claim)
        try:
            yield hold
        finally:
            del self._holds[claim.ref]

    def keeps(self, ref: TurnRef) -> bool:
        return ref in self._holds

    @property
    def holds(self) -> list[Hold]:
        return list(self._holds.values())

    def nudge(self, ref: TurnRef) -> None:
        """Asks the record now instead of at the next renewal."""
        if ref in self._holds:
            self._nudged.set()

    async def run(self) -> None:
        """Renews until cancelled. While Redis is away the turns go on: nobody can take them meanwhile."""
        while True:
            try:
                async with asyncio.timeout(self._interval):
                    await self._nudged.wait()
            except TimeoutError:
                pass
            self._nudged.clear()
            try:
                await self.renew()
            except StateUnavailable as error:
                _log.debug("leases not renewed", reason=str(error))

    async def renew(self) -> None:
        holds = self.holds
        if not holds:
            return
        for hold, reply in zip(holds, await self._turns.renew([hold.claim for hold in holds]), strict=True):
            if reply == "STOP":
                hold.raise_interrupt(Interrupt.STOP)
            elif reply not in ("OK", "ERROR"):
                hold.raise_interrupt(Interrupt.LOST)
