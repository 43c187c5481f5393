"""How long a stream may be silent: one timer for all of it, however many pieces come."""

import asyncio
from collections.abc import Callable
from math import inf


class Silence:
    """Calls ``told`` once, when a deadline passes that nobody moved.

    Moving a deadline is a note of the time. The timer looks at it when it runs out, and is set again for what is left;
    only a deadline that comes nearer sets it at once.
    """

    __slots__ = ("_due", "_loop", "_timer", "_told", "_until")

    def __init__(self, loop: asyncio.AbstractEventLoop, told: Callable[[], None]) -> None:
        self._loop = loop
        self._told = told
        self._until = self._due = inf
        self._timer: asyncio.TimerHandle | None = None

    def until(self, moment: float) -> None:
        """From now on there is this deadline, by the loop's clock, and no other."""
        self._until = moment
        if moment < self._due:
            self._set(moment)

    def within(self, seconds: float) -> None:
        """As ``until``, so many seconds from now."""
        self.until(self._loop.time() + seconds)

    def close(self) -> None:
        """Nothing is told any more."""
        self._until = inf
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = moment
        self._timer = self._loop.call_at(moment, self._run_out)

    def _run_out(self) -> None:
        due, self._due, self._timer = self._due, inf, None
        if self._until <= due:
            self._until = inf
            self._told()
        elif self._until < inf:
            self._set(self._until)
