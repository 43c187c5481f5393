"""The append-only files of the server that `make run` starts, synced to the disk from outside.

With ``appendfsync no`` the server has handed to the kernel whatever it acknowledges, so its crash costs nothing: each
turn of its event loop ends with ``flushAppendOnlyFile``, then ``handleClientsWithPendingWrites`` (``beforeSleep`` in
server.c), and nothing makes it put the write off. A crash of the machine would cost what the kernel still held, up to
half a minute; a sync once a second makes that a second or two. ``everysec`` promises the same, but while its own sync
is under way ``flushAppendOnlyFile`` (aof.c) holds writes back for up to two seconds, and they are answered meanwhile:
a crash of the server loses them.
"""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Never

import structlog

_INTERVAL = 1.0
_GROWING = "appendonlydir/*.incr.aof"
"""The server itself syncs the others when it has written them: base files, manifest and directory, and at a clean end
whatever there is."""

_log = structlog.get_logger(__name__)


class AppendOnlyFiles:
    def __init__(self, directory: Path, *, interval: float = _INTERVAL) -> None:
        """``directory`` is the server's ``dir``; ``interval``: seconds between the end of a sync and the next."""
        self._directory = directory
        self._interval = interval

    async def keep_synced(self) -> Never:
        """A disk that fails is told of once, until it works again."""
        failing = False
        while True:
            await asyncio.sleep(self._interval)
            try:
                await asyncio.to_thread(self.sync)
            except OSError as error:
                if not failing:
                    _log.error(
                        "cannot sync to the disk: a loss of power may cost more than a second", reason=str(error)
                    )
                failing = True
            else:
                failing = False

    def sync(self) -> None:
        """Whatever the server has written by now is on the disk afterwards. Raises OSError."""
        for file in self._directory.glob(_GROWING):
            # One that is gone by now needs none: the file that took its place has been synced.
            with suppress(FileNotFoundError):
                _sync(file)


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
