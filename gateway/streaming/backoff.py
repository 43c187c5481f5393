"""How long to wait after repeated failure."""

import asyncio
import random
from collections.abc import Callable

FIRST = 0.05
MOST = 1.0


def delay(failures: int) -> float:
    """Seconds: none at first, then doubling up to ``MOST``; shortened at random, lest replicas march in step."""
    if failures <= 0:
        return 0.0
    longest = min(MOST, FIRST * 2.0 ** min(failures - 1, 10))
    return random.uniform(longest / 2, longest)


class Pause:
    """The rest between failed tries of something that is waited for together with other things."""

    __slots__ = ("_over", "_timer", "failures")

    def __init__(self, over: Callable[[], None]) -> None:
        """``over`` is called at each rest's end."""
        self.failures = 0
        self._over = over
        self._timer: asyncio.TimerHandle | None = None

    @property
    def resting(self) -> bool:
        return self._timer is not None

    def failed(self, *, rest: bool = True) -> None:
        """Begins a rest, longer than the one before; or only counts."""
        self.failures += 1
        self._cancel()
        if rest:
            self._timer = asyncio.get_running_loop().call_later(delay(self.failures), self._end)

    def reset(self) -> None:
        """Ends the rest and forgets the failures. Does not call ``over``."""
        self.failures = 0
        self._cancel()

    def _end(self) -> None:
        self._timer = None
        self._over()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
