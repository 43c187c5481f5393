"""How the end of a process is noticed, by a file or by a thread."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.images.exits import on_exit

FOR_EVER = "import time; time.sleep(60)"


def started(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code])


def ended(code: str) -> subprocess.Popen[bytes]:
    """One that nobody has asked yet how it ended."""
    process = started(code)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    return process


def files() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


@pytest.fixture(params=["by a file", "by a thread"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "by a thread":
        monkeypatch.delattr(os, "pidfd_open")


@pytest.mark.usefixtures("way")
async def test_the_end_of_a_process_is_told_when_it_has_come() -> None:
    process, told = started(FOR_EVER), asyncio.Event()
    on_exit(process, told.set)
    await asyncio.sleep(0)
    assert not told.is_set()
    process.send_signal(signal.SIGKILL)
    await told.wait()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.usefixtures("way")
async def test_an_end_that_came_before_anybody_looked_is_told() -> None:
    process, told = ended("raise SystemExit(3)"), asyncio.Event()
    on_exit(process, told.set)
    await told.wait()
    assert process.returncode == 3


async def test_no_file_is_left_open_for_a_process_that_has_ended() -> None:
    before, told = files(), asyncio.Event()
    on_exit(ended(""), told.set)
    await told.wait()
    assert files() <= before
