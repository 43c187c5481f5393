"""Relays over each backend of the contract, with faults only where the server is real."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import fakeredis
import pytest
from redis.asyncio import Redis

from gateway.state.connect import connect
from gateway.state.listener import Listener
from gateway.streaming.relay import Pace, Relay
from tests.integration.gateway.state.scene import Scene
from tests.servers import Product, RedisServer

REAL = ["valkey", pytest.param("redis", marks=pytest.mark.needs_redis_server)]

ECHO_INTERVAL = 0.1
PATIENCE = 0.5


class Airtime:
    """One client of a server: the contract as a worker uses it, and a relay as a gateway does."""

    def __init__(self, redis: Redis) -> None:
        self.scene = Scene(redis)
        self.relay = Relay(
            lambda: Listener.open(redis, echo_interval=ECHO_INTERVAL, patience=PATIENCE),
            self.scene.log,
            self.scene.turns.end_overdue,
            Pace(heartbeat=0.2, tick=0.05),
        )


@pytest.fixture(params=REAL)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """To be frozen and cut off; it forgets all when it is killed."""
    product: Product = request.param
    with RedisServer(tmp_path, product=product) as server:
        yield server


@pytest.fixture(params=REAL)
def durable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """To be killed: it comes back with all that it acknowledged."""
    product: Product = request.param
    with RedisServer(tmp_path, aof=True, product=product) as server:
        yield server


@pytest.fixture(params=["fakeredis", *REAL])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Redis]]:
    if request.param == "fakeredis":
        fake = fakeredis.FakeServer(version=(7,))
        yield lambda: fakeredis.FakeAsyncRedis(server=fake)
        return
    with RedisServer(tmp_path, product=request.param) as server:
        yield lambda: connect(server.url)


@pytest.fixture
async def air(opener: Callable[[], Redis]) -> AsyncIterator[Airtime]:
    """On any backend."""
    async for opened in _opened(opener()):
        yield opened


@pytest.fixture
async def real_air(server: RedisServer) -> AsyncIterator[Airtime]:
    """On ``server``."""
    async for opened in _opened(connect(server.url, timeout=2.0)):
        yield opened


@pytest.fixture
async def durable_air(durable: RedisServer) -> AsyncIterator[Airtime]:
    """On ``durable``."""
    async for opened in _opened(connect(durable.url, timeout=2.0)):
        yield opened


async def _opened(redis: Redis) -> AsyncIterator[Airtime]:
    async with AsyncExitStack() as stack:
        stack.push_async_callback(redis.aclose)
        air = Airtime(redis)
        await air.scene.beat()
        await stack.enter_async_context(air.relay)
        yield air
