"""Cost and delay of a chunk at a measured pace, on few streams and many.

``cpu/SYSTEM/STREAMS[/ROLE]``   microseconds of CPU for each chunk, of all processes of the system or of one
``delay/SYSTEM/STREAMS/p50|p99``  milliseconds from the stand-in's write to the client's read
"""

from tests.bench.ledger import Figures
from tests.bench.paced import Run, paced, quiet
from tests.bench.stand import Stand

_COLLAPSED = 1000.0
"""A 99th percentile (ms) after which a system is not asked to carry more."""


async def measure(stand: Stand) -> Figures:
    figures: dict[str, float] = {}
    collapsed: set[str] = set()
    for level in stand.effort.levels:
        for system in stand.everyone():
            if system.name in collapsed:
                continue
            run = await paced(stand.client, system, level, stand.effort.window, stand.tools)
            figures |= _figures(f"{system.name}/{level}", run, list(system.pids))
            if run.outcome.delays.p99 > _COLLAPSED or run.outcome.chunks < run.expected // 2:
                collapsed.add(system.name)
            await quiet(system, stand.upstream)
    return figures


def _figures(name: str, run: Run, roles: list[str]) -> dict[str, float]:
    delays = run.outcome.delays
    figures = {f"cpu/{name}/{role}": run.micros(role) for role in run.cpu}
    figures[f"cpu/{name}"] = sum(run.micros(role) for role in roles)
    figures |= {f"delay/{name}/p50": delays.p50, f"delay/{name}/p99": delays.p99}
    figures[f"silence/{name}"] = run.outcome.silence
    figures[f"arrived/{name}"] = run.outcome.chunks / max(1, run.expected)
    figures[f"failures/{name}"] = sum(run.outcome.failures.values())
    return figures
