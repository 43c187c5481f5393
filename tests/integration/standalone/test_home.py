import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.integration.standalone.programs import SLEEPS, STUBBORN
from tests.processes import until
from workers.standalone.home import Home, Lock
from workers.standalone.problem import Problem


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def orphan(home: Home, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A child that holds the gateway's lock, and knows no parent that would end it."""
    yield from _holder(home.lock("gateway"), SLEEPS)


def _holder(lock: Lock, source: str) -> Iterator[subprocess.Popen[bytes]]:
    with lock.taken() as descriptor:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", source],
            pass_fds=(descriptor,),
            start_new_session=True,
            stdout=subprocess.PIPE,
        )
    lock.name(process.pid)
    try:
        with process:
            yield process
            process.kill()
    finally:
        process.kill()


def test_a_second_one_is_told_who_uses_the_directory(home: Home) -> None:
    with home.taken(), pytest.raises(Problem, match=f"process {os.getpid()}, which uses {home.path}"), home.taken():
        pass


def test_the_directory_is_free_again_afterwards(home: Home) -> None:
    for _ in range(2):
        with home.taken():
            pass


def test_the_directory_is_its_owners_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "new" / "data")
    with home.taken():
        assert home.path.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Problem, match=r"^DATA_DIR: cannot make "), Home(tmp_path / "file").taken():
        pass


async def test_a_child_has_its_lock_until_it_ends(home: Home, orphan: subprocess.Popen[bytes]) -> None:
    lock = home.lock("gateway")
    assert lock.held

    orphan.kill()
    orphan.wait()

    assert not lock.held


async def test_nothing_is_ended_where_nothing_was_left(home: Home) -> None:
    lock = home.lock("gateway")
    assert await lock.end_holder(grace=1) is None
    with lock.taken():
        lock.name(os.getpid())
    assert await lock.end_holder(grace=1) is None, "a number alone is not proof"


async def test_an_orphan_is_ended(home: Home, orphan: subprocess.Popen[bytes]) -> None:
    assert await home.lock("gateway").end_holder(grace=5) == orphan.pid
    assert orphan.wait() == -signal.SIGTERM


async def test_a_frozen_orphan_is_ended(home: Home, orphan: subprocess.Popen[bytes]) -> None:
    orphan.send_signal(signal.SIGSTOP)
    assert await home.lock("gateway").end_holder(grace=5) == orphan.pid
    assert orphan.wait() == -signal.SIGTERM


async def test_an_orphan_that_will_not_end_is_killed(home: Home) -> None:
    for orphan in _holder(home.lock("gateway"), STUBBORN):
        assert orphan.stdout is not None
        await asyncio.to_thread(orphan.stdout.readline)
        assert await home.lock("gateway").end_holder(grace=0.1) == orphan.pid
        assert orphan.wait() == -signal.SIGKILL


async def test_an_orphan_without_a_name_is_left_to_the_user(home: Home, orphan: subprocess.Popen[bytes]) -> None:
    lock = home.lock("gateway")
    lock.name(None)
    with pytest.raises(Problem, match=f"end it first .*{lock.path}"):
        await lock.end_holder(grace=1)
    assert orphan.poll() is None


async def test_what_an_orphan_itself_had_started_goes_with_it(home: Home) -> None:
    starts_another = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-S', '-c', {SLEEPS!r}], close_fds=False)"
    )
    for orphan in _holder(home.lock("valkey"), starts_another + "; import time; time.sleep(60)"):
        await until(partial(_has_members, orphan.pid, 2), "the grandchild")
        await home.lock("valkey").end_holder(grace=5)
        orphan.wait()
        assert _has_members(orphan.pid, 0)


def _has_members(group: int, count: int) -> bool:
    listed = subprocess.run(["ps", "-A", "-o", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return count == sum(1 for pgid, state in rows if int(pgid) == group and not state.startswith("Z"))
