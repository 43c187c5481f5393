"""Everything on one machine, from the first lock to the last process.

It starts Valkey (unless it is told of a server), then gateway and worker together. A child that ends by itself before
all is ready ends everything; after that it is started again, until it has ended too often. At the end they go in the
order gateway, worker, Valkey: no new turns, no new writes, nothing left to write.

Children outlive a kill -9 of this process. The next start finds and ends them before it starts its own.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Never

import structlog

from workers.standalone.child import Child, Program
from workers.standalone.gateway import Address
from workers.standalone.home import Home
from workers.standalone.problem import Problem
from workers.standalone.signals import Ending
from workers.standalone.valkey import Valkey

NAMES = ("gateway", "worker", "valkey")
"""The order in which they end."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs on this machine."""

    gateway: Program
    worker: Program
    valkey: Valkey | None
    """``None``: the server is somebody else's."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a child may end by itself within so many seconds, and after how many seconds it is started again."""

    deaths: int = 5
    within: float = 60.0
    pause: float = 0.5


class Machine:
    def __init__(
        self,
        home: Home,
        address: Address,
        plan: Callable[[], Plan],
        *,
        announce: Callable[[], None],
        orphan_grace: float,
        patience: Patience = Patience(),
    ) -> None:
        self._home = home
        self._address = address
        self._plan = plan
        self._announce = announce
        self._orphan_grace = orphan_grace
        self._patience = patience
        self._ready = False

    async def run(self) -> None:
        """Runs until a signal asks for the end. Raises ``Problem`` if it cannot start or go on; nothing runs then."""
        ending = Ending()
        with ending.on_signals(), self._home.taken():
            await self._end_orphans()
            self._address.must_be_free()
            plan = self._plan()
            gateway, worker = self._child(plan.gateway), self._child(plan.worker)
            valkey = self._child(plan.valkey.program) if plan.valkey else None
            try:
                async with asyncio.TaskGroup() as tasks:
                    serving = tasks.create_task(
                        self._serve(plan, [child for child in (valkey, gateway, worker) if child])
                    )
                    await ending.asked.wait()
                    _log.info("ending")
                    serving.cancel()
            except* Problem as group:
                raise _first(group) from None
            finally:
                await gateway.end(ending.hurried)
                await worker.end(ending.hurried)
                if plan.valkey is not None and valkey is not None:
                    await valkey.end(hurry=asyncio.Event())  # it always has the time to write what it holds
                    plan.valkey.tidy()

    async def _end_orphans(self) -> None:
        for name in NAMES:
            pid = await self._home.lock(name).end_holder(grace=self._orphan_grace)
            if pid is not None:
                _log.warning("ended what an earlier run had left behind", program=name, process=pid)

    def _child(self, program: Program) -> Child:
        return Child(program, self._home.lock(program.name))

    async def _serve(self, plan: Plan, children: Sequence[Child]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for child in children:
                await child.start()
                tasks.create_task(self._keep(child))
                if plan.valkey is not None and child.program is plan.valkey.program:
                    tasks.create_task(plan.valkey.files.keep_synced())
                    await plan.valkey.listening()
            await self._address.serves()
            self._ready = True
            self._announce()

    async def _keep(self, child: Child) -> Never:
        clock = asyncio.get_running_loop().time
        deaths: deque[float] = deque(maxlen=self._patience.deaths)
        while True:
            status = await child.ended()
            if not self._ready:
                where = f"; its log is {child.program.log}" if child.program.log else ""
                raise Problem(f"the {child.name} ended before all was ready{where}", status=max(status, 1))
            deaths.append(clock())
            if len(deaths) == deaths.maxlen and deaths[-1] - deaths[0] < self._patience.within:
                raise Problem(f"the {child.name} ended {len(deaths)} times within {self._patience.within:.0f} s")
            _log.error("ended by itself, starting it again", program=child.name, status=status)
            await asyncio.sleep(self._patience.pause)
            await child.start()


def _first(group: BaseExceptionGroup[Problem]) -> Problem:
    error = group.exceptions[0]
    return error if isinstance(error, Problem) else _first(error)
