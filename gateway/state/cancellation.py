"""Cancellations that get lost inside redis-py, found again."""

import asyncio
from contextlib import AbstractContextManager
from types import TracebackType


def cancellation_is_heeded() -> AbstractContextManager[None]:
    """Raises CancelledError at the end of a block whose cancellation was swallowed inside it.

    Before Python 3.12, ``asyncio.wait_for`` forgets a cancellation that arrives together with the result (cpython
    gh-86296), and what redis-py sends itself it sends with that. A task that loops over commands would never end then.
    """
    return _Heeding()


class _Heeding(AbstractContextManager[None]):
    __slots__ = ("_before", "_task")

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._before = self._task.cancelling() if self._task is not None else 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None and self._task.cancelling() > self._before:
            raise asyncio.CancelledError
