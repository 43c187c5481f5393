"""What streams cost on which nothing happens, and what crosses to Redis.

``idle/rss``                     bytes a gateway grows by with each stream (from the first 100 to all)
``idle/connections/ROLE``        connections to Redis while all streams are open
``commands/idle/ROLE``, ``commands/idle``    commands for each open stream and minute
``commands/chunk``               commands for each chunk, beyond those
``commands/turn``                commands for a whole turn without chunks

It has a product of its own: memory that was used once is used again, and would not show; and its connections to
Redis go over TCP, so that the kernel and Redis can tell whose they are.
"""

import asyncio
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.bench import kernel, stamp
from tests.bench.commands import Commands, monitored
from tests.bench.directive import Directive
from tests.bench.ledger import Figures
from tests.bench.measures import turns
from tests.bench.paced import EVERY, SECOND, quiet
from tests.bench.plan import Dialect, Outcome, Plan
from tests.bench.product import Product, product
from tests.bench.stand import Stand

_FEW = 100
_OPENING = 0.012
_PERIOD = 2.5
"""Seconds: three of a worker's beats, so that each window holds about the same number of them."""
_TURN_WINDOW = 1.5


async def measure(stand: Stand) -> Figures:
    with tempfile.TemporaryDirectory() as directory:
        async with (
            product("product", Path(directory), stand.upstream, unix=False) as made,
            monitored(made.redis.port) as commands,
        ):
            return await _Idle(stand, made, commands).figures()


@dataclass(slots=True)
class _Idle:
    stand: Stand
    product: Product
    commands: Commands

    async def figures(self) -> dict[str, float]:
        gateway, worker = (one.process.pid for one in (self.product.gateways[0], self.product.workers[0]))
        many = 400 if self.stand.effort.whole else 200
        few = await self._sent(_PERIOD)
        figures: dict[str, float] = {}
        at = stamp.now() + int((_opening(_FEW) + _opening(many) + _PERIOD + 2.0) * SECOND)
        async with asyncio.TaskGroup() as tasks:
            opened = tasks.create_task(self._open(_FEW + many, at))
            await asyncio.sleep(_opening(_FEW) + 0.5)
            before = kernel.rss(gateway)
            await asyncio.sleep(_opening(many) + 0.5)
            grown = kernel.rss(gateway) - before
            own, workers = (kernel.connections(pid, self.product.redis.port) for pid in (gateway, worker))
            figures |= {"idle/connections/gateway": len(own), "idle/connections/worker": len(workers)}
            idle = await self._sent(_PERIOD)
            await asyncio.sleep((at + 5 * EVERY - stamp.now()) / SECOND)
            chunks = await self._sent(_PERIOD)
        outcome = opened.result()
        figures["failures/idle/product"] = sum(outcome.failures.values())
        open_ones = max(1, outcome.begun)
        figures["idle/rss"] = grown / (many * open_ones / (_FEW + many))
        figures |= _per_stream(idle, few, own, open_ones)
        each = (chunks.total() - idle.total()) / (open_ones * _PERIOD * SECOND / EVERY)
        figures["commands/chunk"] = round(each, 2)  # One window may hold a beat more than the other: some thousandths.
        await quiet(self.product.through(1))
        figures["commands/turn"] = await self._turns(few.total() / _PERIOD)
        return figures

    async def _sent(self, seconds: float) -> Counter[int]:
        self.commands.take()
        await asyncio.sleep(seconds)
        return self.commands.take()

    async def _open(self, streams: int, at: int) -> Outcome:
        """Streams that are silent until ``at``, in one go: those opened first are the few."""
        begin, count = stamp.now(), int((_PERIOD + 1.0) * SECOND) // EVERY
        return await self.stand.client.run(
            Plan(
                dialect=Dialect.ONE_CALL,
                ports=(self.product.gateways[0].port,),
                message=f"hush {Directive(at=at, every=EVERY, count=count)}",
                streams=streams,
                begin=begin,
                ramp=int(streams * _OPENING * SECOND),
                since=at,
                until=at + count * EVERY,
                stop=at + count * EVERY + 3 * SECOND,
            )
        )

    async def _turns(self, background: float) -> float:
        """``background``: commands a second when there is nothing to do."""
        plan = turns.plan(self.product.through(1, Dialect.TWO_CALLS), 1, _TURN_WINDOW)
        async with asyncio.TaskGroup() as tasks:
            run = tasks.create_task(self.stand.client.run(plan))
            await asyncio.sleep((plan.since - stamp.now()) / SECOND)
            sent = await self._sent((plan.until - stamp.now()) / SECOND)
        return (sent.total() - background * _TURN_WINDOW) / max(1, run.result().turns.count)


def _opening(streams: int) -> float:
    return streams * _OPENING


def _per_stream(idle: Counter[int], few: Counter[int], own: set[int], streams: int) -> dict[str, float]:
    """``own``: the gateway's connections. What is sent with no stream open is not the streams'."""
    minutes = streams * _PERIOD / 60
    gateway = sum(idle[port] - few[port] for port in own)
    total = idle.total() - few.total()
    return {
        "commands/idle": total / minutes,
        "commands/idle/gateway": gateway / minutes,
        "commands/idle/worker": (total - gateway) / minutes,
    }
