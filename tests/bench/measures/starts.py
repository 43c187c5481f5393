"""Seconds from a command to a gateway's first answer, and to a worker's first word in Redis.

``start/ROLE``        with its files in memory: what a start computes
``start/first/ROLE``  the one just before, whose files the machine may have to read: nobody has needed them for minutes
"""

from tests.bench.ledger import Figures
from tests.bench.stand import Stand


async def measure(stand: Stand) -> Figures:
    figures = {}
    for role, start in (("gateway", stand.product.start_gateway), ("worker", stand.product.start_worker)):
        for name in (f"start/first/{role}", f"start/{role}"):
            started = await start()
            await stand.product.end(started)
            figures[name] = started.seconds
    return figures
