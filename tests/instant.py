"""Runs a coroutine on an event loop whose clock leaps: waits cost no time, and happen in the order of real ones.

Whenever nothing can run before the next timer, the clock is set to it. For code that does not wait for sockets or
threads.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Leaping(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing is left that could ever happen")
        self.now += timeout
        return super().select(0)


class _InstantLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.now


def run_instantly(main: Coroutine[Any, Any, T]) -> T:
    """As ``asyncio.run``. Raises ``RuntimeError`` in a deadlock, instead of hanging."""
    with asyncio.Runner(loop_factory=_InstantLoop) as runner:
        return runner.run(main)
