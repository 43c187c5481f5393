import asyncio
import os
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.processes import until
from workers.standalone.files import AppendOnlyFiles


def test_what_grows_is_synced_and_what_is_gone_is_not_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "appendonlydir"
    directory.mkdir()
    for name in ("appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof", "appendonly.aof.manifest"):
        (directory / name).touch()
    (directory / "appendonly.aof.1.incr.aof").symlink_to("gone")
    synced: list[os.stat_result] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor)))

    AppendOnlyFiles(tmp_path).sync()

    assert synced == [(directory / "appendonly.aof.2.incr.aof").stat()]


class Disk(AppendOnlyFiles):
    """It works or fails as a test says."""

    def __init__(self, works: str) -> None:
        """A letter for each sync: ``y`` or ``n``."""
        super().__init__(Path("/nowhere"), interval=0)
        self._works = iter(works)
        self.over = threading.Event()

    def sync(self) -> None:
        works = next(self._works, None)
        if works is None:
            self.over.set()
        elif works == "n":
            raise OSError(5, "Input/output error")


@pytest.mark.parametrize(("works", "told"), [("yyy", 0), ("ynnny", 1), ("nynn", 2)])
async def test_a_disk_that_fails_is_told_of_once_until_it_works_again(works: str, told: int) -> None:
    disk = Disk(works)
    with capture_logs() as logs:
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(disk.keep_synced())
            await until(disk.over.is_set, "all of its syncs")
            keeping.cancel()
    assert [line["log_level"] for line in logs] == ["error"] * told
    assert all("Input/output error" in line["reason"] for line in logs)
