"""How long an event loop was away, seen from outside.

``pause/gateway``, ``pause/worker``  milliseconds of CPU that the main thread used without a rest, 100 streams running
                                     (``stretch``: an upper bound on its longest pause)
``upload/longest``                   milliseconds that ``GET /`` took at the most while photographs of 4 MB were
                                     uploaded, less those in which gateway or client waited for a CPU
``upload/waited``, ``upload/quiet``  milliseconds that ``GET /`` waited beyond its own median, at the longest, during
                                     the uploads and while there was none: what the machine's other work does is in both
"""

import asyncio

from tests.bench import stamp
from tests.bench.ledger import Figures
from tests.bench.paced import SECOND, paced, quiet
from tests.bench.photograph import photograph, upload
from tests.bench.plan import Dialect, Outcome, Plan
from tests.bench.product import Started
from tests.bench.stand import Stand
from tests.bench.stretch import Stretches

STREAMS = 100
_PROBE_PAUSE = 1000
_BETWEEN = 0.3
_UPLOAD = 1.7
"""Seconds that one takes at most, and a while before it."""


async def measure(stand: Stand) -> Figures:
    figures = await _under_load(stand)
    gateway = stand.product.gateways[0]
    photograph()  # It takes long to make.
    uploading = await _probed(stand, gateway, stand.effort.uploads)
    quietly = await _probed(stand, gateway, 0)
    figures["upload/longest"] = uploading.held.longest
    figures["upload/waited"] = uploading.turns.longest - uploading.turns.p50
    figures["upload/quiet"] = quietly.turns.longest - quietly.turns.p50
    return figures


async def _under_load(stand: Stand) -> dict[str, float]:
    system = stand.product.through(1)
    roles = ("gateway", "worker")
    stretches = Stretches([system.pids[role] for role in roles])
    await paced(stand.client, system, STREAMS, stand.effort.window, during=stretches)
    await quiet(system, stand.upstream)
    return {f"pause/{role}": longest * 1000 for role, longest in zip(roles, stretches.longest, strict=True)}


async def _probed(stand: Stand, gateway: Started, uploads: int) -> Outcome:
    begin = stamp.now() + SECOND // 10
    since = begin + SECOND // 5
    until = since + int(max(1, uploads) * _UPLOAD * SECOND)
    plan = Plan(
        dialect=Dialect.ALIVE,
        ports=(gateway.port,),
        message="",
        streams=1,
        begin=begin,
        turns=0,
        pause=_PROBE_PAUSE,
        since=since,
        until=until,
        stop=until + 2 * SECOND,
        process=gateway.process.pid,
    )
    async with asyncio.TaskGroup() as tasks:
        outcome = tasks.create_task(stand.client.run(plan))
        await asyncio.sleep((since - stamp.now()) / SECOND)
        for _ in range(uploads):
            await asyncio.sleep(_BETWEEN)
            await upload(gateway.port)
    return outcome.result()
