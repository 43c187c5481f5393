"""Whether a chunk costs the same however much there is of everything else: microseconds of CPU, all processes.

``flat/gateways/N``  100 streams through 1, 2 and 3 gateways
``flat/sessions/N``  100 streams with 1,000 and with 10,000 sessions in Redis that have a history
"""

from tests.bench.ledger import Figures
from tests.bench.paced import paced, quiet
from tests.bench.product import Product
from tests.bench.stand import Stand

STREAMS = 100


async def measure(stand: Stand) -> Figures:
    if stand.crowded is None:
        return {}
    figures = {}
    for gateways in range(1, len(stand.product.gateways) + 1):
        figures[f"flat/gateways/{gateways}"] = await _cost(stand, stand.product, gateways)
    figures["flat/sessions/10000"] = await _cost(stand, stand.crowded, 1)
    figures["flat/sessions/1000"] = await _cost(stand, stand.product, 1)
    return figures


async def _cost(stand: Stand, product: Product, gateways: int) -> float:
    system = product.through(gateways)
    run = await paced(stand.client, system, STREAMS, stand.effort.window)
    await quiet(system, stand.upstream)
    return sum(run.micros(role) for role in run.cpu)
