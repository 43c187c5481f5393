"""Chunks as fast as they come, on 20 streams: ``flood/SYSTEM`` in chunks a second."""

from tests.bench import stamp
from tests.bench.directive import Directive
from tests.bench.ledger import Figures
from tests.bench.paced import SECOND, quiet
from tests.bench.plan import Plan
from tests.bench.stand import Stand
from tests.bench.systems import System

STREAMS = 20
_PROBE = 50
_PATIENCE = 30 * SECOND


async def measure(stand: Stand) -> Figures:
    """A small flood tells how large one has to be to last as long as it should."""
    figures: dict[str, float] = {}
    for system in (stand.direct, stand.naive, stand.product.through(1)):
        probe, _ = await _rate(stand, system, _PROBE)
        count = max(_PROBE, int(probe * stand.effort.flood / STREAMS))
        figures[f"flood/{system.name}"], figures[f"failures/flood/{system.name}"] = await _rate(stand, system, count)
        await quiet(system, stand.upstream)
    return figures


async def _rate(stand: Stand, system: System, count: int) -> tuple[float, int]:
    """Chunks a second, from when the stand-in begins to write until the last has arrived; and failures."""
    asked = plan(system, count)
    outcome = await stand.client.run(asked)
    lasted = max(1, outcome.latest - asked.since) / SECOND
    return outcome.chunks / lasted, sum(outcome.failures.values())


def plan(system: System, count: int) -> Plan:
    """So many chunks on each stream, all from one moment on."""
    begin = stamp.now() + SECOND // 10
    at = begin + SECOND * 6 // 10
    return Plan(
        dialect=system.dialect,
        ports=tuple(system.ports),
        message=f"all at once {Directive(at=at, count=count)}",
        streams=STREAMS,
        begin=begin,
        ramp=SECOND // 2,
        since=at,
        until=at + _PATIENCE,
        stop=at + _PATIENCE,
    )
