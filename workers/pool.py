"""The pool: takes turns from the queue and runs as many at once as the worker may."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from gateway.state.errors import StateUnavailable
from gateway.state.ids import ClaimToken, TurnRef, WorkerId, new_claim_token
from gateway.state.queue import Queue
from gateway.state.records import Claim
from gateway.state.turns import Turns
from workers.drain import Drain
from workers.holds import Hold, Holds, Interrupt

_log = structlog.get_logger(__name__)

POP_TIMEOUT = 0.4
"""Seconds one wait for a turn lasts. Short, because a wait is never cancelled: the turn it pops would be forgotten."""

PUT_BACK_TIME = 3.0
"""Seconds to put back what could not be finished; with Redis away longer than that, the lease runs out instead."""

_CLAIM_TRIES = 5


@dataclass(frozen=True, slots=True)
class PoolLimits:
    concurrency: int
    claims: int
    """Claims of one turn whose workers may die before it is ended as failed."""
    grace: float
    """Seconds that running turns have to finish when the worker drains."""
    history_turns: int
    """The newest turns of a session that a claim brings along."""


def _untold(_ref: TurnRef) -> None:
    """Where nobody wants to know."""


class Pool:
    def __init__(
        self,
        worker: WorkerId,
        queue: Queue,
        turns: Turns,
        holds: Holds,
        run_turn: Callable[[Hold], Awaitable[None]],
        limits: PoolLimits,
        *,
        let_go: Callable[[TurnRef], None] = _untold,
    ) -> None:
        """``let_go`` is told of each turn that this worker is done with, whether it got and ended it or not."""
        self._worker = worker
        self._queue = queue
        self._turns = turns
        self._holds = holds
        self._run_turn = run_turn
        self._limits = limits
        self._let_go = let_go
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """Turns that run now."""
        return self._running

    async def run(self, drain: Drain) -> None:
        """Works until asked to drain; then claims no more, lets turns finish for a while, and puts back the rest.

        The worker must beat until this returns.
        """
        try:
            async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as group:
                group.create_task(self._take(group, drain))
                await drain.begun.wait()
                _log.info("draining", running=self._running)
                await drain.grace(self._limits.grace, self._idle)
                for hold in self._holds.all:
                    hold.raise_interrupt(Interrupt.PUT_BACK)
                limit.reschedule(asyncio.get_running_loop().time() + PUT_BACK_TIME)
        except TimeoutError:
            _log.warning("turns left to the end of the lease", running=self._running)

    async def _take(self, group: asyncio.TaskGroup, drain: Drain) -> None:
        while not drain.begun.is_set():
            await self._slots.acquire()
            ref = None if drain.begun.is_set() else await self._pop()
            if ref is None:
                self._slots.release()
            elif drain.begun.is_set():
                await self._give_back(ref)
                self._slots.release()
            else:
                self._running += 1
                self._idle.clear()
                group.create_task(self._serve(ref))
                await asyncio.sleep(0)  # The claim goes out first: somebody waits for it, and nobody for the next turn.

    async def _pop(self) -> TurnRef | None:
        try:
            return await self._queue.pop(POP_TIMEOUT)
        except StateUnavailable as error:
            _log.debug("queue not readable", reason=str(error))
            await asyncio.sleep(random.uniform(0.1, 0.5))
            return None

    async def _give_back(self, ref: TurnRef) -> None:
        """A turn that was popped and won't be claimed: another worker need not wait for the sweep to find it."""
        try:
            await self._queue.ready(ref)
        except StateUnavailable as error:
            _log.debug("hint left to the sweep", turn=ref.turn, reason=str(error))

    async def _serve(self, ref: TurnRef) -> None:
        try:
            words = self._holds.words
            claim = await self._claim(ref, new_claim_token(self._worker))
            if claim is not None:
                with self._holds.keep(claim, words=words) as hold:
                    await self._run_turn(hold)
        except Exception:  # noqa: BLE001
            # The boundary of one turn: this worker's sweep offers it to all, and its other turns go on.
            _log.exception("turn broke", turn=ref.turn)
        finally:
            self._let_go(ref)
            self._running -= 1
            if not self._running:
                self._idle.set()
            self._slots.release()

    async def _claim(self, ref: TurnRef, token: ClaimToken) -> Claim | None:
        """A claim whose reply was lost is repeated with its token; given up, this worker's sweep takes it back."""
        for _ in range(_CLAIM_TRIES):
            try:
                return await self._turns.claim(
                    ref, token, claims_allowed=self._limits.claims, history_turns=self._limits.history_turns
                )
            except StateUnavailable as error:
                _log.debug("claim repeated", turn=ref.turn, reason=str(error))
                await asyncio.sleep(random.uniform(0.05, 0.3))
        return None
