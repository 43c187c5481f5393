"""``python -m tests.bench.flame`` (``make profile``): where a gateway's and a worker's CPU goes, by sampling (py-spy).

Two loads: chunks on 100 streams, and turns without chunks. For each process and load ``.bench/`` gets a flame graph
(``gateway-chunks.svg``, …) and a table of the functions that cost most, in microseconds for each chunk or turn: their
shares of what the operating system counted in a run without the sampler, which slows a process down.
"""

import argparse
import asyncio
import sys
import tempfile
from asyncio.subprocess import DEVNULL
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

from tests.bench.ending import unwind_on_sigterm
from tests.bench.hotspots import Hotspots
from tests.bench.measures import turns
from tests.bench.paced import measured, paced, quiet
from tests.bench.plan import Dialect
from tests.bench.stand import QUICK, Stand, stand
from tests.processes import ROOT

STREAMS = 100
Load = Callable[[Stand, float], Coroutine[None, None, Mapping[str, float]]]

_ROLES = ("gateway", "worker")
_RATE = 250
"""Samples a second."""
_HEAD_START = 2.2
"""Seconds: the streams are being opened, which is no part of what a chunk costs."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.flame")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=ROOT / ".bench")
    asked = parser.parse_args()
    unwind_on_sigterm()
    asked.out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(Path(directory), asked.out, asked.seconds))


async def run(directory: Path, out: Path, seconds: float) -> None:
    async with stand(QUICK, directory) as made:
        for name, load in (("chunks", _chunks), ("turns", _turns)):
            costs = await load(made, seconds / 2)
            await _sampled(made, load, out, f"{name}.svg", seconds)
            await _sampled(made, load, out, f"{name}.txt", seconds)
            for role in _ROLES:
                place = out / f"{role}-{name}.txt"
                text = Hotspots.read(place.read_text()).table(costs[role], f"{role}, microseconds for each of {name}")
                place.write_text(text)
                sys.stdout.write(text + "\n")
    sys.stdout.write(f"Written: {out}/{{gateway,worker}}-{{chunks,turns}}.svg and .txt\n")


async def _sampled(made: Stand, load: Load, out: Path, name: str, seconds: float) -> None:
    """Both processes sampled at once, while the load runs."""
    pids = made.product.through(1).pids
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load(made, seconds + 2.0))
        await asyncio.sleep(_HEAD_START)
        for role in _ROLES:
            tasks.create_task(_record(pids[role], out / f"{role}-{name}", seconds))


async def _record(pid: int, to: Path, seconds: float) -> None:
    form = "flamegraph" if to.suffix == ".svg" else "raw"
    spy = Path(sys.executable).with_name("py-spy")
    command = [str(spy), "record", "--pid", str(pid), "--output", str(to), "--format", form]
    # Only what holds the interpreter's lock works: waiting for events looks like work to the sampler, and is not.
    options = ["--duration", str(int(seconds)), "--rate", str(_RATE), "--gil"]
    process = await asyncio.create_subprocess_exec(*command, *options, stdout=DEVNULL, stderr=DEVNULL)
    status = await process.wait()
    assert status == 0, f"py-spy could not watch process {pid}: status {status}"


async def _chunks(made: Stand, seconds: float) -> Mapping[str, float]:
    system = made.product.through(1)
    result = await paced(made.client, system, STREAMS, seconds)
    await quiet(system, made.upstream)
    return {role: result.micros(role) for role in _ROLES}


async def _turns(made: Stand, seconds: float) -> Mapping[str, float]:
    system = made.product.through(1, Dialect.TWO_CALLS)
    result = await measured(made.client, turns.plan(system, 4, seconds), system.pids)
    return {role: result.cpu[role] * 1e6 / max(1, result.outcome.turns.count) for role in _ROLES}


if __name__ == "__main__":
    main()
