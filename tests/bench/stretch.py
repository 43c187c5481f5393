"""How long a process's main thread goes on without a rest: an upper bound on its event loop's pauses, from outside.

An event loop that has nothing more to do waits in the kernel, and each such wait is a voluntary context switch. While
their number stands still and the thread is not asleep, something runs: one long callback, a garbage collection, or many
short callbacks in a row. Time in which the kernel let another process have the CPU is not counted (``schedstat``'s
second field), so a busy neighbour does not look like a pause of ours.
"""

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_INTERVAL = 0.002
"""Seconds between two looks: how exact a stretch is."""


@dataclass(slots=True)
class Watch:
    """One thread under watch. ``longest`` is in seconds."""

    status: int
    schedstat: int
    longest: float = 0.0
    _switches: bytes = b""
    _since: float = 0.0
    _latest: float = 0.0
    _waited: int = 0

    def look(self, now: float) -> None:
        state, switches = _state(os.pread(self.status, 4096, 0))
        if state == b"S" or switches != self._switches:
            self.end()
            self._switches, self._since, self._waited = switches, now, self._delay()
        self._latest = now

    def end(self) -> None:
        """The stretch is over: only now the kernel has counted all of its waiting for the CPU."""
        on_cpu = self._latest - self._since - (self._delay() - self._waited) / 1e9
        self.longest = max(self.longest, on_cpu)

    def _delay(self) -> int:
        return int(os.pread(self.schedstat, 128, 0).split()[1])


def _state(status: bytes) -> tuple[bytes, bytes]:
    """S for asleep, R for running or wanting to; and how often it went to sleep by itself."""
    state = status[status.index(b"\nState:\t") + 8 :][:1]
    switches = status[status.index(b"\nvoluntary_ctxt_switches:\t") + 26 :].partition(b"\n")[0]
    return state, switches


class Stretches:
    """A context manager that watches main threads, from a thread of its own, for as long as it is entered."""

    def __init__(self, pids: Sequence[int]) -> None:
        self.longest: list[float] = []
        """Seconds, one for each process; there once the scope is left."""
        self._pids = pids
        self._over = threading.Event()
        self._watches: list[Watch] = []
        self._thread: threading.Thread

    def __enter__(self) -> Self:
        self._watches = [_open(pid) for pid in self._pids]
        self._thread = threading.Thread(target=_watch, args=(self._watches, self._over))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for watch in self._watches:
            watch.end()
            self.longest.append(watch.longest)
            os.close(watch.status)
            os.close(watch.schedstat)


def _open(pid: int) -> Watch:
    place = f"/proc/{pid}/task/{pid}"
    return Watch(os.open(f"{place}/status", os.O_RDONLY), os.open(f"{place}/schedstat", os.O_RDONLY))


def _watch(watches: Sequence[Watch], over: threading.Event) -> None:
    while not over.is_set():
        for watch in watches:
            watch.look(time.monotonic())
        time.sleep(_INTERVAL)
