"""Random deaths under load: ``python -m tests.chaos --minutes 5 --seed 7`` (``make chaos``).

Users talk on and on while gateways, workers and Redis are killed, frozen, drained and cut off at random. Every word
of every answer is checked. Prints what was lost, and ends with status 1 if anything was.

The faults come in an order that the seed decides; what they hit is decided by the machine, too.
"""

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.client import User
from tests.cluster import Cluster, gemini
from tests.gemini_server import Call
from tests.harm import Harm
from tests.load import Talk, Talker, persistently
from tests.processes import found

GATEWAYS, WORKERS, USERS = 3, 3, 24
LONGEST_GAP = 15.0
"""Seconds of silence that count as a failure: a takeover takes five at most, an outage lasts three."""

_GATEWAY = {
    "DRAIN_NOTICE_SECONDS": "0.5",
    "LOG_TTL": "60",
    "SESSION_TTL": "60",
    "RATE_SESSION_REQUESTS": "off",
    "RATE_SESSION_TURNS": "off",
    "RATE_SESSION_TURNS_DAILY": "off",
    "RATE_SESSION_TOKENS": "off",
}
_WORKER = {"TURN_ATTEMPTS": "50", "RETRY_TOTAL_SECONDS": "60", "RETRY_LIMIT": "50", "HISTORY_TURNS": "3"}


async def _visit(cluster: Cluster, chance: random.Random, talks: list[Talk], over: asyncio.Event) -> None:
    """One user after the other, each for some turns."""
    while not over.is_set():
        async with User(cluster.any_url) as user:
            await persistently(lambda user=user: user.call("GET", "/session"))  # type: ignore[misc]
            talker = Talker(user)
            for _ in range(chance.randint(3, 12)):
                tabs = chance.choice((1, 1, 2, 3))
                talks.append(
                    await talker.talk(chunks=chance.randint(1, 80), delay=chance.choice((0.01, 0.03, 0.1)), tabs=tabs)
                )
                if over.is_set():
                    break
            await persistently(lambda user=user: user.call("DELETE", "/session"))  # type: ignore[misc]


async def chaos(minutes: float, seed: int) -> bool:
    """Whether everything was as it should be."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with (
            gemini(directory) as stand_in,
            Cluster(
                directory, stand_in, gateways=GATEWAYS, workers=WORKERS, gateway=_GATEWAY, worker=_WORKER
            ) as cluster,
        ):
            first = [*cluster.gateways, *cluster.workers]
            before = [process.rss() for process in first]
            harm = Harm(cluster, random.Random(seed))
            talks = await _storm(cluster, harm, minutes, seed)
            good = _tell(talks, harm, await stand_in.calls())
            for process, figure in zip(first, before, strict=True):
                if process.running:
                    print(f"{process.name}: from {figure / 2**20:.0f} to {process.rss() / 2**20:.0f} MiB")
            return await _tell_keys(cluster) and good


async def _storm(cluster: Cluster, harm: Harm, minutes: float, seed: int) -> list[Talk]:
    talks: list[Talk] = []
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for number in range(USERS):
            group.create_task(_visit(cluster, random.Random(seed * 1000 + number), talks, over))
        await harm.run(minutes * 60)
        over.set()
    return talks


def _tell(talks: Sequence[Talk], harm: Harm, calls: Sequence[Call]) -> bool:
    asked: dict[str, list[Call]] = {}
    for call in calls:
        asked.setdefault(call.text, []).append(call)
    broken = [talk for talk in talks if talk.problems]
    # Every call but the last was begun anew for a reason, and the only good one is harm done to its worker.
    unprovoked = [
        talk for talk in talks if any(call.key not in harm.workers for call in asked.get(talk.asked, [])[:-1])
    ]
    too_many = [talk for talk in talks if len(asked.get(talk.asked, [])) > talk.attempts]
    gaps = sorted(talk.worst_gap for talk in talks)
    print(f"faults: {harm.done.total()}: {dict(harm.done.most_common())}")
    print(f"turns: {len(talks)}, with a reset: {sum(bool(talk.resets) for talk in talks)}")
    print(f"turns with anything lost, doubled, misplaced or failed: {len(broken)}")
    for talk in broken[:20]:
        print(f"    {talk.asked}: {'; '.join(talk.problems)}")
    print(f"turns with more Gemini calls than attempts: {len(too_many)}")
    print(f"turns begun anew although no harm was done to their worker: {len(unprovoked)}")
    for talk in unprovoked[:20]:
        made = [f"{call.key} at {call.at:.1f} to {call.ended_at or 0:.1f} {call.ended}" for call in asked[talk.asked]]
        print(f"    {talk.asked}: {talk.resets}, {made}")
    print(f"longest silence in a turn: {gaps[-1]:.1f} s; 99 of 100 below {gaps[int(len(gaps) * 0.99)]:.1f} s")
    return not (broken or too_many or unprovoked) and gaps[-1] < LONGEST_GAP


async def _tell_keys(cluster: Cluster) -> bool:
    """Sessions are deleted and logs expire: what is left belongs to the living workers."""

    async def settled() -> bool:
        return len(await cluster.redis.keys("*")) == 3

    try:
        await found(settled, "all keys but the workers' to go", 75.0)
    except AssertionError:
        print(f"keys left: {sorted(await cluster.redis.keys('*'))[:10]}")
        return False
    print("keys left: the workers' three")
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10_000))
    given = parser.parse_args()
    print(f"seed {given.seed}, {given.minutes:g} minutes")
    good = asyncio.run(chaos(given.minutes, given.seed))
    print("nothing was lost" if good else "FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
