"""``python -m tests.bench``: measures, prints the table, writes ``.bench/``. ``--help`` tells what can be chosen."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from tests.bench.ending import unwind_on_sigterm
from tests.bench.ledger import Figures, Ledger
from tests.bench.measures import capacity, chunks, first, flat, flood, idle, pauses, starts, turns
from tests.bench.plot import plot
from tests.bench.stand import FULL, QUICK, Effort, Stand, stand
from tests.bench.table import table
from tests.bench.targets import verdicts
from tests.processes import ROOT

MEASURES: dict[str, Callable[[Stand], Awaitable[Figures]]] = {
    "chunks": chunks.measure,
    "flood": flood.measure,
    "first": first.measure,
    "turns": turns.measure,
    "idle": idle.measure,
    "pauses": pauses.measure,
    "starts": starts.measure,
    "capacity": capacity.measure,
    "flat": flat.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--quick", action="store_true", help="one short round of what takes no long time")
    parser.add_argument("--rounds", type=int)
    parser.add_argument(
        "--appendfsync", choices=("always", "everysec", "no"), default="no", help="when Valkey itself syncs to its disk"
    )
    parser.add_argument("--tcp", action="store_true", help="reach Valkey over TCP, as in compose, not by a Unix socket")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--out", type=Path, default=ROOT / ".bench")
    asked = parser.parse_args()
    unwind_on_sigterm()
    effort = QUICK if asked.quick else FULL
    effort = replace(effort, rounds=asked.rounds or effort.rounds, appendfsync=asked.appendfsync, unix=not asked.tcp)
    with tempfile.TemporaryDirectory() as directory:
        ledger = asyncio.run(run(effort, asked.only, Path(directory)))
    write(ledger, asked.out)


async def run(effort: Effort, names: Sequence[str], directory: Path) -> Ledger:
    """In each round every measure takes every system in turn, so that a machine's moods meet them all."""
    ledger, began = Ledger(), time.monotonic()
    async with stand(effort, directory) as made:
        for number in range(1, effort.rounds + 1):
            ledger.begin_round()
            for name in names:
                sys.stderr.write(f"{time.monotonic() - began:6.1f} s  round {number} of {effort.rounds}: {name}\n")
                ledger.add(await MEASURES[name](made))
    sys.stderr.write(f"{time.monotonic() - began:6.1f} s  done\n")
    return ledger


def write(ledger: Ledger, out: Path) -> None:
    out.mkdir(exist_ok=True)
    medians = {name: ledger.median(name) for name in ledger.names()}
    content = {"medians": medians, "rounds": ledger.rounds}
    (out / "bench.json").write_bytes(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
    (out / "bench.svg").write_text(plot(ledger), encoding="utf-8")
    text = table(verdicts(ledger), ledger)
    (out / "bench.txt").write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(f"{text}\n\nWritten: {out}/bench.txt, bench.json, bench.svg\n")


if __name__ == "__main__":
    main()
