"""Many short turns, one after the other: ``python -m tests.soak --turns 20000``.

Prints Redis's key count and each process's memory as it goes, and ends with status 1 if either is not where it was
after the first tenth.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.client import User, prompt
from tests.cluster import Cluster, gemini
from tests.gemini_server import expected_answer
from tests.processes import Process, found
from tests.sse import parse, text_of

USERS = 16
TURNS_A_SESSION = 20
ROOM = 12 * 2**20
"""Bytes that a process may gain between the first tenth and the end."""

_OFF = dict.fromkeys(
    ("RATE_SESSION_REQUESTS", "RATE_SESSION_TURNS", "RATE_SESSION_TURNS_DAILY", "RATE_SESSION_TOKENS"), "off"
)
_GATEWAY = {"SESSION_TTL": "10", "LOG_TTL": "5", "LOG_LEVEL": "warning", **_OFF}
_WORKER = {"HISTORY_TURNS": "2", "LOG_LEVEL": "warning"}


class Soak:
    def __init__(self, cluster: Cluster, turns: int) -> None:
        self._cluster = cluster
        self._turns = turns
        self._begun = 0
        self.done = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(USERS):
                group.create_task(self._visits())

    async def _visits(self) -> None:
        deletes = False
        while self._begun < self._turns:
            async with User(self._cluster.any_url) as user:
                await user.session()
                for _ in range(TURNS_A_SESSION):
                    if self._begun == self._turns:
                        break
                    self._begun += 1
                    await self._turn(user)
                if deletes := not deletes:  # the other half is left to expire
                    assert (await user.call("DELETE", "/session")).status == 200

    async def _turn(self, user: User) -> None:
        asked = prompt("soak", "chunks=2")
        headers = {"Accept": "text/event-stream"}
        answer = await user.call("POST", "/chat", json={"message": asked}, headers=headers)
        assert text_of(parse(answer.body)) == expected_answer(asked), answer.body
        self.done += 1


async def soak(turns: int) -> bool:
    """Whether nothing grew."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with (
            gemini(directory) as stand_in,
            Cluster(directory, stand_in, gateways=2, workers=2, gateway=_GATEWAY, worker=_WORKER) as cluster,
        ):
            run, began = Soak(cluster, turns), time.monotonic()
            processes: list[Process] = [*cluster.gateways, *cluster.workers]
            early: dict[str, int] = {}
            late: dict[str, int] = {}
            async with asyncio.TaskGroup() as group:
                group.create_task(run.run())
                for tenth in range(1, 11):

                    async def reached(goal: int = turns * tenth // 10) -> bool:
                        return run.done >= goal

                    await found(reached, f"tenth {tenth} of all turns", 3600.0)
                    await stand_in.clear()
                    late = {process.name: process.rss() for process in processes}
                    early = early or late
                    await _tell(cluster, run.done, time.monotonic() - began, late)
            return await _settles(cluster) and all(late[name] < early[name] + ROOM for name in late)


async def _tell(cluster: Cluster, done: int, seconds: float, rss: dict[str, int]) -> None:
    memory = ", ".join(f"{name} {figure / 2**20:.0f}" for name, figure in rss.items())
    keys, server = await cluster.redis.dbsize(), await cluster.redis.info("memory")
    used = int(server["used_memory"]) / 2**20
    print(f"{done} turns, {done / seconds:.0f} a second, {keys} keys, Redis {used:.1f} MiB; MiB: {memory}", flush=True)


async def _settles(cluster: Cluster) -> bool:
    async def settled() -> bool:
        return len(await cluster.redis.keys("*")) == 3

    try:
        await found(settled, "all keys but the workers' to go", 30.0)
    except AssertionError:
        print(f"keys left: {sorted(await cluster.redis.keys('*'))[:10]}")
        return False
    print("keys left: the workers' two")
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--turns", type=int, default=20_000)
    good = asyncio.run(soak(parser.parse_args().turns))
    print("nothing grew" if good else "FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
