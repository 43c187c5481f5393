"""Everything that a run of the bench needs, started once."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.bench.load import Load, load
from tests.bench.product import Product, product
from tests.bench.systems import System, direct, naive, server, synthetic


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to look, in seconds, and at how much."""

    rounds: int
    window: float
    levels: tuple[int, ...]
    flood: float
    uploads: int
    whole: bool
    """Also what takes long: capacities, flatness, memory."""
    appendfsync: str = "no"
    """When Valkey itself syncs to its disk."""
    unix: bool = True
    """Valkey is reached by a Unix socket, as in `make run`, and not over TCP, as in compose."""


QUICK = Effort(rounds=1, window=2.0, levels=(100,), flood=1.0, uploads=1, whole=False)
FULL = Effort(rounds=5, window=4.0, levels=(1, 60, 100, 500, 1000), flood=2.0, uploads=3, whole=True)


@dataclass(slots=True)
class Stand:
    effort: Effort
    client: Load
    upstream: int
    """The stand-in Gemini's port."""
    upstream_pid: int
    direct: System
    naive: System
    synthetic: System
    product: Product
    fed: Product | None
    """One gateway, driven by a stand-in worker."""
    crowded: Product | None
    """Ten times as many sessions in Redis as ``product`` has."""
    tap: Load | None
    """A stand-in gateway, for ``product``'s worker."""
    remembered: dict[str, int] = field(default_factory=dict)
    """What was found in an earlier round, as the next one's first guess."""

    @property
    def tools(self) -> dict[str, int]:
        return {"client": self.client.pid, "upstream": self.upstream_pid}

    def everyone(self) -> list[System]:
        """In the order in which each round asks them."""
        return [self.direct, self.naive, self.synthetic, self.product.through(1)]


@asynccontextmanager
async def stand(effort: Effort, directory: Path) -> AsyncIterator[Stand]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        process, upstream = await enter(server("upstream", directory))
        whole = effort.whole
        start = partial(
            product, directory=directory, upstream=upstream, appendfsync=effort.appendfsync, unix=effort.unix
        )
        made = await enter(start("product", gateways=3 if whole else 1, sessions=1000 if whole else 0))
        yield Stand(
            effort=effort,
            client=await enter(load("client")),
            upstream=upstream,
            upstream_pid=process.pid,
            direct=direct(upstream),
            naive=await enter(naive(directory, upstream)),
            synthetic=await enter(synthetic(directory)),
            product=made,
            fed=await enter(start("fed", workers=0, feeders=1)) if whole else None,
            crowded=await enter(start("crowded", sessions=10_000)) if whole else None,
            tap=await enter(load("tap", made.redis.url)) if whole else None,
        )
