"""One timer for very many things that are due: what falls into the same millisecond is done in one go."""

import asyncio
import time
from collections.abc import Callable
from heapq import heappop, heappush

_TICK = 0.001


class Wheel:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, list[Callable[[], None]]] = {}
        self._order: list[int] = []
        """The slots as a heap."""
        self._timer: asyncio.TimerHandle | None = None

    def at(self, due: float, action: Callable[[], None]) -> None:
        """Calls ``action`` at that second of the monotonic clock, or at most two ticks later."""
        slot = int(due / _TICK) + 1
        waiting = self._slots.get(slot)
        if waiting is not None:
            waiting.append(action)
            return
        self._slots[slot] = [action]
        heappush(self._order, slot)
        if self._order[0] == slot:
            self._set()

    def _set(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait = self._order[0] * _TICK - time.monotonic()
        self._timer = self._loop.call_later(max(0.0, wait), self._turn)

    def _turn(self) -> None:
        self._timer = None
        now = int(time.monotonic() / _TICK)
        while self._order and self._order[0] <= now:
            for action in self._slots.pop(heappop(self._order)):
                action()
        if self._order:
            self._set()
