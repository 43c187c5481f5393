"""A load process as the bench drives it: a plan in, an outcome out."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from tests.bench import stamp
from tests.bench.plan import Outcome, Plan
from tests.processes import ROOT

_PATIENCE = 15.0
"""Seconds beyond a plan's own end."""


class Load:
    def __init__(self, process: asyncio.subprocess.Process, lines: asyncio.StreamReader, plans: asyncio.StreamWriter):
        self.pid = process.pid
        self._lines = lines
        self._plans = plans

    async def run(self, plan: Plan) -> Outcome:
        """One plan at a time. Raises ``RuntimeError`` when the process is gone or has hung."""
        self._plans.write(msgspec.json.encode(plan) + b"\n")
        try:
            async with asyncio.timeout((plan.stop - stamp.now()) / 1e6 + _PATIENCE):
                line = await self._lines.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise RuntimeError("the load process did not answer; what it said stands above")
        return msgspec.json.decode(line, type=Outcome)


@asynccontextmanager
async def load(module: str, *args: str) -> AsyncIterator[Load]:
    """``client`` or ``tap``."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"tests.bench.{module}", *args, cwd=ROOT, stdin=PIPE, stdout=PIPE, limit=1 << 20
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Load(process, process.stdout, process.stdin)
    finally:
        process.stdin.close()
        if process.returncode is None:
            process.kill()
        await process.wait()
