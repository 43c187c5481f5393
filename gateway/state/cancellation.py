"""Cancellations that get lost inside redis-py, found again."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cancellation_is_heeded() -> Iterator[None]:
    """Raises CancelledError at the end of a block whose cancellation was swallowed inside it.

    Before Python 3.12, ``asyncio.wait_for`` forgets a cancellation that arrives together with the result (cpython
    gh-86296), and what redis-py sends itself it sends with that. A task that loops over commands would never end then.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
