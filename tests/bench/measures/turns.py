"""Whole turns without chunks, and ``/generate_text``, one after the other.

``turn/ROLE`` and ``turn/SYSTEM``  microseconds of CPU for a turn (POST /chat, GET /stream, done) that has no text
``text/SYSTEM``                    milliseconds of an answer in one chunk, median: the product's call, or a direct one
"""

from dataclasses import replace

from tests.bench import stamp
from tests.bench.directive import Directive
from tests.bench.ledger import Figures
from tests.bench.paced import SECOND, measured, quiet
from tests.bench.plan import Dialect, Plan
from tests.bench.stand import Stand
from tests.bench.systems import System

_VISITORS = 4
_WARM_UP = 8


async def measure(stand: Stand) -> Figures:
    figures: dict[str, float] = {}
    product = stand.product.through(1, Dialect.TWO_CALLS)
    for system in (stand.naive, product) if stand.effort.whole else (product,):
        run = await measured(stand.client, plan(system, _VISITORS, stand.effort.window), system.pids)
        turns = max(1, run.outcome.turns.count)
        figures |= {f"turn/{role}": used * 1e6 / turns for role, used in run.cpu.items()}
        figures[f"turn/{system.name}"] = sum(run.cpu.values()) * 1e6 / turns
        figures[f"failures/turn/{system.name}"] = sum(run.outcome.failures.values())
        await quiet(system, stand.upstream)
    for system in (stand.direct, replace(product, dialect=Dialect.TEXT)):
        outcome = await stand.client.run(plan(system, 1, stand.effort.window / 2, chunks=1))
        figures[f"text/{system.name}"] = outcome.turns.p50
        figures[f"failures/text/{system.name}"] = sum(outcome.failures.values())
    return figures


def plan(system: System, visitors: int, window: float, *, chunks: int = 0) -> Plan:
    """Visitors who ask again as soon as they are answered. Their first turns, which open sessions, are not counted."""
    begin = stamp.now() + SECOND // 10
    since = begin + SECOND // 2
    until = since + int(window * SECOND)
    return Plan(
        dialect=system.dialect,
        ports=tuple(system.ports),
        message=f"yes? {Directive(count=chunks)}",
        streams=visitors,
        begin=begin,
        turns=0,
        since=since,
        until=until,
        stop=until + 3 * SECOND,
    )
