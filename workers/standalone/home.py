"""The directory that holds all of one machine's state, and who may use it.

A lock says that a process lives; the file's text says which. Every child inherits the open file of its own lock, so the
kernel gives the lock back with that child's end, whatever end it was: a lock that is held names a process that lives
and is ours, and no number of a stranger's process is ever taken for one.
"""

import asyncio
import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.standalone.problem import Problem

_POLL_SECONDS = 0.05
_KILL_SECONDS = 5.0


class Lock:
    """A file that is locked for as long as a process has it open."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def taken(self) -> Iterator[int]:
        """The locked file's descriptor. Who inherits it holds the lock, too. Raises ``BlockingIOError``."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield descriptor
        finally:
            os.close(descriptor)

    @property
    def held(self) -> bool:
        try:
            with self.taken():
                return False
        except BlockingIOError:
            return True

    async def end_holder(self, *, grace: float) -> int | None:
        """Ends the child that has the lock, if one has, and returns its number; after ``grace`` seconds it is killed.

        Raises ``Problem`` if it cannot be ended.
        """
        if not self.held:
            return None
        pid = self.holder
        if pid is None:
            raise Problem(f"a process of an earlier run still lives; end it first (it has {self.path} open)")
        for order, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILL_SECONDS)):
            _signal_group(pid, order)
            if await self._freed(patience):
                return pid
        raise Problem(f"process {pid} of an earlier run does not end")

    async def _freed(self, patience: float) -> bool:
        clock = asyncio.get_running_loop().time
        until = clock() + patience
        while self.held:
            if clock() >= until:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    def name(self, pid: int | None) -> None:
        """Writes down who has it; ``None``: not known yet."""
        self.path.write_text("" if pid is None else f"{pid}\n")

    @property
    def holder(self) -> int | None:
        text = self.path.read_text().strip()
        return int(text) if text.isdecimal() else None


class Home:
    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def taken(self) -> Iterator[None]:
        """The directory is this process's alone until the scope ends. Raises ``Problem`` if it is another's."""
        self._make()
        lock = self.lock("standalone")
        try:
            with lock.taken():
                lock.name(os.getpid())
                yield
        except BlockingIOError:
            raise Problem(f"already running as process {lock.holder}, which uses {self.path}") from None

    def lock(self, name: str) -> Lock:
        return Lock(self.path / f"{name}.lock")

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Problem(f"DATA_DIR: cannot make {self.path}: {error.strerror}") from None


def _signal_group(pid: int, order: signal.Signals) -> None:
    """Each child leads a group of its own."""
    try:
        os.killpg(pid, order)
        os.killpg(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass
