"""How long an event loop was away, seen from outside.

``pause/gateway``, ``pause/worker``  milliseconds of CPU that the main thread used without a rest, 100 streams running
                                     (``stretch``: an upper bound on its longest pause)
``upload/longest``                   milliseconds that ``GET /`` took at the most while a photograph of 4 MB was
                                     uploaded, less those in which gateway or client waited for a CPU; the median of
                                     several uploads, since the host may stop the whole machine for longer than that
``upload/first``                     the same of the first upload, for which a process has to be started
``upload/waited``, ``upload/quiet``  milliseconds that ``GET /`` waited beyond its own median, at the longest, during
                                     the uploads and while there was none: what the machine's other work does is in both
"""

import asyncio
from collections.abc import Awaitable
from statistics import median

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
_WINDOW = 1.7
"""Seconds in which it is asked."""
_LEAD = 0.3
"""Of these before an upload begins."""


async def measure(stand: Stand) -> Figures:
    figures = await _under_load(stand)
    gateway = stand.product.gateways[0]
    photograph()  # It takes long to make.
    uploading = [await _probed(stand, gateway, upload(gateway.port)) for _ in range(stand.effort.uploads)]
    quietly = [await _probed(stand, gateway, asyncio.sleep(0)) for _ in uploading]
    held = [outcome.held.longest for outcome in uploading]
    figures["upload/first"], figures["upload/longest"] = held[0], median(held)
    figures["upload/waited"] = max(outcome.turns.longest - outcome.turns.p50 for outcome in uploading)
    figures["upload/quiet"] = max(outcome.turns.longest - outcome.turns.p50 for outcome in quietly)
    return figures


async def _under_load(stand: Stand) -> dict[str, float]:
    system = stand.product.through(1)
    roles = ("gateway", "worker")
    stretches = Stretches([system.pids[role] for role in roles])
    await paced(stand.client, system, STREAMS, stand.effort.window, during=stretches)
    await quiet(system, stand.upstream)
    return {f"pause/{role}": longest * 1000 for role, longest in zip(roles, stretches.longest, strict=True)}


async def _probed(stand: Stand, gateway: Started, meanwhile: Awaitable[None]) -> Outcome:
    begin = stamp.now() + SECOND // 10
    since = begin + SECOND // 5
    until = since + int(_WINDOW * SECOND)
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
        await asyncio.sleep((since - stamp.now()) / SECOND + _LEAD)
        await meanwhile
    return outcome.result()
