"""One timer for very many things that are due: what falls into the same millisecond is done in one go."""

import asyncio
import time
from collections.abc import Callable

_TICK = 0.001


class Wheel:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, list[Callable[[], None]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0
        """The slot for which the timer is set."""

    def at(self, due: float, action: Callable[[], None]) -> None:
        """Calls ``action`` at that second of the monotonic clock, or at most two ticks later."""
        slot = int(due / _TICK) + 1
        self._slots.setdefault(slot, []).append(action)
        if self._timer is None or slot < self._next:
            self._set(slot)

    def _set(self, slot: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = slot
        self._timer = self._loop.call_later(max(0.0, slot * _TICK - time.monotonic()), self._turn)

    def _turn(self) -> None:
        self._timer = None
        now = int(time.monotonic() / _TICK)
        for slot in sorted(slot for slot in self._slots if slot <= now):
            for action in self._slots.pop(slot):
                action()
        if self._slots:
            self._set(min(self._slots))
