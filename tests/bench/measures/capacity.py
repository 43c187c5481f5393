"""How many streams at 10 chunks a second one process holds with a 99th percentile of delay below 100 ms.

``capacity/naive``    the naive relay, one process
``capacity/gateway``  one gateway, whose turns a stand-in worker writes
``capacity/worker``   one worker, whose turns a stand-in gateway reads
"""

from tests.bench.ledger import Figures
from tests.bench.load import Load
from tests.bench.paced import paced, quiet
from tests.bench.search import most
from tests.bench.stand import Stand
from tests.bench.systems import System

LATEST = 100.0
_LIMIT = 4000
_WINDOW = 2.0
_WHOLE = 0.97
"""Of the streams and of their chunks, at least."""
_GUESSES = {"naive": 100, "gateway": 500, "worker": 400}


async def measure(stand: Stand) -> Figures:
    if stand.fed is None or stand.tap is None:
        return {}
    figures = {}
    for name, load, system in (
        ("naive", stand.client, stand.naive),
        ("gateway", stand.client, stand.fed.through(1)),
        ("worker", stand.tap, stand.product.through(1)),
    ):
        found = await _capacity(stand, load, system, stand.remembered.get(name, _GUESSES[name]))
        figures[f"capacity/{name}"] = float(found)
        stand.remembered[name] = max(1, found)
    return figures


async def _capacity(stand: Stand, load: Load, system: System, guess: int) -> int:
    async def holds(streams: int) -> bool:
        run = await paced(load, system, streams, _WINDOW)
        await quiet(system, stand.upstream)
        outcome = run.outcome
        whole = outcome.begun >= _WHOLE * streams and outcome.chunks >= _WHOLE * run.expected
        return whole and outcome.delays.p99 < LATEST

    return await most(holds, guess, _LIMIT)
