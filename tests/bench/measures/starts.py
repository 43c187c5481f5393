"""``start/worker``: seconds from the command to a worker's first word in Redis. Gateways: see ``idle``."""

from tests.bench.ledger import Figures
from tests.bench.stand import Stand


async def measure(stand: Stand) -> Figures:
    worker = await stand.product.start_worker()
    await stand.product.end(worker)
    return {"start/worker": worker.seconds}
