"""Callers who went while their request was waiting for Redis.

The task that answers a caller who hung up is cancelled, once (``gateway.exchange``). Before Python 3.12
``asyncio.wait_for`` may swallow that (cpython gh-86296), and redis-py, by which images go to Redis, sends every command
with it. Whatever is about to wait for long asks here first.
"""

import asyncio


def heed_hang_up() -> None:
    """Raises CancelledError in a task that was asked to end and has not noticed."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
