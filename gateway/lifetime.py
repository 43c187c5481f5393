"""What lives as long as the app serves: entered before the first request, left after the last.

It has a task of its own, whatever server runs the app: task groups must be left by the task that entered them, and a
server may call startup and shutdown from different ones, or not call shutdown at all.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager

import structlog

_PATIENCE_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Lifetime:
    def __init__(self, live: Callable[[], AbstractAsyncContextManager[None]], on_failure: Callable[[], None]) -> None:
        """``live`` is entered and left; when it breaks in between, ``on_failure`` is called."""
        self.failed = False
        self._live = live
        self._on_failure = on_failure
        self._entered = asyncio.Event()
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def serving(self) -> AsyncGenerator[None, None]:
        """For Quart's ``while_serving``."""
        self._task = asyncio.create_task(self._run(), name="lifetime")
        await self._entered.wait()
        yield
        self._over.set()
        # On Python 3.11 a wait_for that ends at the very moment swallows a cancellation, deep in the Redis client.
        while not (await asyncio.wait({self._task}, timeout=_PATIENCE_SECONDS))[0]:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            async with self._live():
                self._entered.set()
                await self._over.wait()
        except Exception:
            # The boundary of the process's own life: it is told, and the replica leaves.
            log.exception("gateway_broken")
            self.failed = True
            self._on_failure()
        finally:
            self._entered.set()
