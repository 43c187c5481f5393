"""Programs as tests start, freeze, end and kill them: each in a process group of its own, its output in a file.

Nothing here belongs to an event loop, so a process may outlive the loop of the test that started it.
"""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
POLL = 0.02
"""Seconds between two looks at something that cannot be waited for."""

_PASSED_ON = ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH")


class Process:
    """One running program. It is started by the constructor, and ended by whoever made it."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        self.status: int | None = None
        """The exit status once the end was seen; negative for a signal that ended it."""
        inherited = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**inherited, "PYTHONUNBUFFERED": "1", **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        self.status = self._process.poll()
        return self.status is None

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def rss(self) -> int:
        """Bytes of memory in use."""
        statm = Path(f"/proc/{self.pid}/statm")
        if statm.exists():
            return int(statm.read_text().split()[1]) * resource.getpagesize()
        figure = subprocess.run(["ps", "-o", "rss=", "-p", str(self.pid)], capture_output=True, check=True, text=True)
        return int(figure.stdout) * 1024

    def files(self) -> int:
        """Open files and sockets. Linux alone tells."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """A crash: the whole group is gone when this returns. A process that has ended may be killed, too."""
        self._signal_group(signal.SIGKILL)
        self.status = self._process.wait(timeout=10)

    async def ended(self, patience: float = 10.0) -> int:
        """The exit status. Raises ``AssertionError`` if it does not end, or leaves processes of its own behind."""
        await until(lambda: not self.running, f"{self.name} to end", patience)
        if self._signal_group(0):
            self._signal_group(signal.SIGKILL)
            raise AssertionError(f"{self.name} ended and left others of its group behind")
        return self._process.wait()

    def _signal_group(self, number: int) -> bool:
        """False when there is nobody left in the group."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        return True


def python(module: str, *args: str) -> list[str]:
    """The command that runs a module by this very interpreter."""
    return [sys.executable, "-m", module, *args]


async def until(holds: Callable[[], bool], what: str, patience: float = 10.0) -> None:
    """Returns as soon as it holds; ``AssertionError`` names what was waited for in vain."""

    async def ask() -> bool:
        return holds()

    await found(ask, what, patience)


async def found(look: Callable[[], Awaitable[T | None]], what: str, patience: float = 10.0) -> T:
    """The first answer that is not falsy, looked for again and again."""
    deadline = time.monotonic() + patience
    while not (answer := await look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:g} s in vain for {what}")
        await asyncio.sleep(POLL)
    return answer
