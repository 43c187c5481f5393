"""Time to the first chunk, while 60 streams run: ``first/SYSTEM/p50|p99`` in milliseconds from a turn's first request.

Turns of 20 chunks follow one another on each connection, so that the starts are spread over the whole time.
``two calls`` is the product asked as pages ask it, ``POST /chat`` and then ``GET /stream``; else all is one call.
"""

from dataclasses import replace

from tests.bench import stamp
from tests.bench.directive import Directive
from tests.bench.ledger import Figures
from tests.bench.paced import EVERY, SECOND, quiet
from tests.bench.plan import Dialect, Plan
from tests.bench.stand import Stand
from tests.bench.systems import System

STREAMS = 60
_CHUNKS = 20


async def measure(stand: Stand) -> Figures:
    paged = replace(stand.product.through(1, Dialect.TWO_CALLS), name="two calls")
    figures: dict[str, float] = {}
    asked = [stand.direct, stand.product.through(1), paged]
    for system in [*asked, stand.naive] if stand.effort.whole else asked:
        outcome = await stand.client.run(plan(system, int(stand.effort.window * SECOND)))
        figures |= {f"first/{system.name}/p50": outcome.firsts.p50, f"first/{system.name}/p99": outcome.firsts.p99}
        figures[f"failures/first/{system.name}"] = sum(outcome.failures.values())
        await quiet(system, stand.upstream)
    return figures


def plan(system: System, window: int) -> Plan:
    begin = stamp.now() + SECOND // 10
    ramp = _CHUNKS * EVERY
    until = begin + ramp + window
    return Plan(
        dialect=system.dialect,
        ports=tuple(system.ports),
        message=f"and then? {Directive(every=EVERY, count=_CHUNKS)}",
        streams=STREAMS,
        begin=begin,
        ramp=ramp,
        turns=0,
        since=begin + ramp,
        until=until,
        stop=until + ramp + 2 * SECOND,
    )
