"""``gateway/haproxy.cfg`` as it is shipped, run by the real HAProxy, in front of stand-in replicas.

It finds them through a name server of the tests' own, as it does through Docker's.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.balancer import Balancer, balancer
from tests.dns import NameServer, name_server
from tests.replica import Replica
from tests.servers import free_port


class Replicas:
    """The replicas behind the name ``gateway``; each has the next loopback address, all have one port."""

    def __init__(self, names: NameServer, stack: AsyncExitStack) -> None:
        self.port = free_port()
        self.names = names
        self._stack = stack
        self._count = 0

    async def start(self, count: int) -> list[Replica]:
        """Starts and lists ``count`` more."""
        new = [Replica(f"127.0.0.{11 + number}", self.port) for number in range(self._count, self._count + count)]
        started = [await self._stack.enter_async_context(replica) for replica in new]
        self._count += count
        self.names.addresses.setdefault("gateway", []).extend(replica.address for replica in started)
        return started

    def delist(self, replica: Replica) -> None:
        self.names.addresses["gateway"].remove(replica.address)


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    async with name_server() as names:
        yield names


@pytest.fixture
async def replicas(names: NameServer) -> AsyncIterator[Replicas]:
    async with AsyncExitStack() as stack:
        yield Replicas(names, stack)


@pytest.fixture
async def pair(replicas: Replicas) -> tuple[Replica, Replica]:
    """Two replicas, listed before the balancer asks for them the first time."""
    one, other = await replicas.start(2)
    return one, other


@pytest.fixture
async def haproxy(
    names: NameServer, replicas: Replicas, pair: tuple[Replica, Replica], tmp_path: Path
) -> AsyncIterator[Balancer]:
    """The balancer with the pair in rotation."""
    async with balancer(tmp_path / "haproxy.log", names_port=names.port, gateway_port=replicas.port) as running:
        await running.sees(*(replica.address for replica in pair))
        yield running
