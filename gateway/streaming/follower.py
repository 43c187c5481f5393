"""One reader's place in one turn's log: every entry once, in order, however slow the reader, whatever befalls Redis.

Two sources: messages as they are published, and the log itself. An entry names the one before it, so a message that
does not follow the reader's position shows at once that something is missing; then the log is read. It is also read at
the start, after every renewed subscription, and when the reader was too slow for its small buffer. Only where the turn
was heard since before it began, the start is left to what is heard, for a moment.
"""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

import structlog

from gateway.state.errors import StateUnavailable
from gateway.state.ids import START, Position, TurnRef
from gateway.state.records import Entry
from gateway.state.turnlog import LogPage
from gateway.streaming.backoff import Pause
from gateway.streaming.delivery import Delivery
from gateway.streaming.inbox import Inbox
from gateway.streaming.meter import StreamMeter

FIRST_PAGE, PAGE = 32, 256
"""Entries read from the log at once: at first, and at most."""

PAGE_BYTES = 64 * 1024
"""What they may weigh together, going by those before: a reader who takes them slowly holds them for as long."""

log = structlog.get_logger(__name__)


class FollowError(Exception):
    pass


class LogGone(FollowError):
    """Nothing can follow the position any more: the turn was deleted, has expired, or lost what is missing."""


class AtEnd(FollowError):
    """The turn has ended, and the position is its end."""


class Home(Protocol):
    """What a follower needs of the relay that it belongs to."""

    draining: bool
    meter: StreamMeter

    def join(self, follower: "Follower") -> "Signal": ...

    def leave(self, follower: "Follower") -> None: ...

    async def read(self, ref: TurnRef, after: Position, count: int) -> LogPage:
        """Raises StateUnavailable."""

    async def end_overdue(self, ref: TurnRef) -> None:
        """Ends the turn if its hard deadline has passed. Raises StateUnavailable."""


class Signal(Protocol):
    @property
    def live(self) -> bool:
        """What is published about the turn is heard: a log read from now on leaves no gap."""


class Follower:
    """A context manager: it follows from entering to leaving. For one task at a time."""

    __slots__ = (
        "_count",
        "_home",
        "_inbox",
        "_nudged",
        "_overdue",
        "_pause",
        "_signal",
        "_waiter",
        "position",
        "push",
        "ref",
        "since",
        "suspect",
        "ticks",
        "trusting",
    )

    def __init__(self, home: Home, ref: TurnRef, after: Position) -> None:
        self.ref = ref
        self.position = after
        """The id of the last entry that ``take`` or ``batch`` gave, or ``push`` accepted."""
        self.suspect = False
        """The log, when last read, showed a turn past its hard deadline."""
        self.since = asyncio.get_running_loop().time()
        self.ticks = 0
        """The relay's clock counts here how long the reader was given nothing."""
        self.trusting = False
        """It goes by what it hears, without having read the log."""
        self.push: Callable[[Delivery], bool] | None = None
        """Offered what follows the position while ``take`` waits; what it accepts (True) is not given by ``take``."""
        self._home = home
        self._count = FIRST_PAGE
        self._signal: Signal
        self._inbox = Inbox()
        self._pause = Pause(self._wake)
        self._nudged = False
        self._overdue = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def age(self) -> float:
        """Seconds since it was made."""
        return asyncio.get_running_loop().time() - self.since

    @property
    def draining(self) -> bool:
        """The process ends: readers are to be sent elsewhere."""
        return self._home.draining

    async def batch(self) -> list[Entry]:
        """The next entries, at least one. After a terminal one there are no more: the caller stops.

        Waits while Redis is away. Raises LogGone, AtEnd.
        """
        while True:
            if deliveries := await self.take():
                return [delivery.entry for delivery in deliveries]

    async def take(self) -> list[Delivery]:
        """As ``batch``, but empty as soon as there is something else for the caller to look at: ``draining``, or a
        connection that has been silent for long."""
        inbox = self._inbox
        while True:
            if inbox.held and (found := self._from_inbox()):
                break
            if inbox.behind and self._signal.live and not self._pause.resting:
                if found := await self._from_log():
                    break
            elif self._overdue:
                await self._end_overdue()
            elif self._nudged:
                self._nudged = False
                return []
            elif not inbox.held:
                self._waiter = asyncio.get_running_loop().create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
        self.ticks = 0
        self._nudged = False
        return found

    # What the relay calls; none of it blocks.

    def offer(self, delivery: Delivery) -> None:
        """A message was published."""
        if self._pushed(delivery):
            return
        if not self._inbox.put(delivery):
            self._home.meter.fallbacks["slow"] += 1
        self._wake()

    def trust(self, heard: Sequence[Delivery]) -> None:
        """All that was published since before the turn began: whoever begins there need not read its log."""
        if self.position == START:
            self.trusting = True
            self._inbox.behind = False
            for delivery in heard:
                self.offer(delivery)

    def doubt(self) -> None:
        """If still nothing was heard, the log is read after all: the very first words may have been missed."""
        self.trusting = False
        if self.position == START:
            self.resync()

    def resync(self) -> None:
        """Something may have been missed: read the log."""
        self._pause.reset()
        self._inbox.fall_behind()
        self._wake()

    def nudge(self, *, overdue: bool = False) -> None:
        """Makes ``take`` return, empty if need be; ``overdue`` has it see to the turn's hard deadline before."""
        self._nudged = True
        self._overdue = self._overdue or overdue
        self._wake()

    async def __aenter__(self) -> Self:
        self._signal = self._home.join(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._home.leave(self)
        self._pause.reset()
        self.push = None  # It leads back here, mostly.

    def _pushed(self, delivery: Delivery) -> bool:
        """Whether the reader has it already. A turn's end is for ``take``, and so is what nobody waits for."""
        entry, inbox = delivery.entry, self._inbox
        if self.push is None or self._waiter is None or self._waiter.done() or inbox.behind or inbox.held:
            return False
        if entry.kind.terminal or not entry.prev <= self.position < entry.id or not self.push(delivery):
            return False
        self.position = entry.id
        self.ticks = 0
        return True

    def _from_inbox(self) -> list[Delivery]:
        """The messages that follow the position, up to a gap."""
        waiting = self._inbox.take()
        found = self._linked(waiting)
        if not found and waiting[-1].entry.kind.terminal and not self._inbox.behind:
            raise AtEnd(self.position)
        return found

    async def _from_log(self) -> list[Delivery]:
        """What the log has after the position. Messages that arrive meanwhile are held."""
        self._inbox.behind = False
        try:
            page = await self._home.read(self.ref, self.position, self._count)
        except StateUnavailable as error:
            log.info("log_read_postponed", reason=str(error), failures=self._pause.failures)
            self._inbox.fall_behind()
            self._pause.failed()
            return []
        except BaseException:
            self._inbox.fall_behind()
            raise
        if page.status is None:
            raise LogGone(self.position)
        self.suspect = page.status.overdue
        found = self._linked([Delivery(entry) for entry in page.entries])
        if found:
            self._pause.reset()
            if len(page.entries) == self._count:
                self._inbox.fall_behind()
            self._count = _next_count(page.entries, self._count)
        elif page.status.state.ended:
            raise LogGone(self.position) if page.entries else AtEnd(self.position)
        return found

    def _linked(self, waiting: list[Delivery]) -> list[Delivery]:
        """Moves the position over the entries that follow it without a gap, and gives them.

        An entry whose predecessor lies before the position follows, too: this reader saw what the log has since lost.
        """
        found = []
        for delivery in waiting:
            entry = delivery.entry
            if entry.id <= self.position:
                continue
            if entry.prev > self.position:
                self._gap()
                break
            found.append(delivery)
            self.position = entry.id
        return found

    def _gap(self) -> None:
        """Something is missing. If the log lacks it, too (it lost its tail), the worker sends it again: no hurry."""
        self._home.meter.fallbacks["gap"] += 1
        self._inbox.fall_behind()
        self._pause.failed(rest=self._pause.failures > 0)

    async def _end_overdue(self) -> None:
        self._overdue = False
        try:
            await self._home.end_overdue(self.ref)
        except StateUnavailable as error:
            log.info("overdue_turn_left", reason=str(error))
        else:
            self.resync()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _next_count(entries: Sequence[Entry], count: int) -> int:
    """How many entries to read after these ``count``; no more than twice as many, as later ones may be larger."""
    weight = sum(len(entry.data) for entry in entries) // len(entries) + 1
    return max(1, min(2 * count, PAGE, PAGE_BYTES // weight))
