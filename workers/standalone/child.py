"""One program that runs below the standalone process, in a session of its own.

So Ctrl-C at the terminal reaches the standalone process alone, which can end its children in order.
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.standalone.home import Lock
from workers.standalone.problem import Problem

_HURRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    grace: float
    """Seconds from SIGTERM after which it is killed."""
    cwd: Path | None = None
    log: Path | None = None
    """Where it writes what it has to say, if not to the terminal."""


class Child:
    def __init__(self, program: Program, lock: Lock) -> None:
        self.program = program
        self._lock = lock
        self._process: asyncio.subprocess.Process | None = None

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def pid(self) -> int | None:
        """Its number while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    async def start(self) -> None:
        """Starts it; what an earlier one may have left behind is killed. Raises ``Problem`` if it cannot be started."""
        await self._lock.end_holder(grace=0)
        self._lock.name(None)
        with self._lock.taken() as descriptor:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self.program.command,
                    env=self.program.environ,
                    cwd=self.program.cwd,
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(descriptor,),
                    start_new_session=True,
                )
            except OSError as error:
                raise Problem(f"cannot start the {self.name}: {error}") from None
        self._lock.name(self._process.pid)

    async def ended(self) -> int:
        """Waits for its end; the exit status, negative for a signal that ended it."""
        if self._process is None:
            raise RuntimeError(f"the {self.name} was never started")
        return await self._process.wait()

    async def end(self, hurry: asyncio.Event) -> None:
        """Ends it, if it runs: it is asked to, asked again once ``hurry`` is set, and killed when its time is up."""
        if self.pid is None:
            return
        async with asyncio.TaskGroup() as tasks:
            ended = tasks.create_task(self.ended())
            hurrying = tasks.create_task(hurry.wait())
            self._send(signal.SIGTERM)
            await asyncio.wait({ended, hurrying}, timeout=self.program.grace, return_when=asyncio.FIRST_COMPLETED)
            if hurrying.done() and not ended.done():
                self._send(signal.SIGTERM)
                await asyncio.wait({ended}, timeout=min(_HURRY_SECONDS, self.program.grace))
            hurrying.cancel()
            if not ended.done():
                self._send(signal.SIGKILL)
        await self._lock.end_holder(grace=0)

    def _send(self, order: signal.Signals) -> None:
        if self.pid is not None:
            os.killpg(self.pid, order)
