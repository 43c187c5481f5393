"""The contract's backends: one behaviour suite over the fake and over real servers.

A real server runs once a session and is emptied between tests. A missing one is a failure, never a skip: whoever has no
``redis-server`` leaves it out by name (``-m "not needs_redis_server"``).
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import fakeredis
import pytest
from redis.asyncio import Redis

from gateway.state.connect import connect
from tests.integration.gateway.state.scene import Scene
from tests.servers import Product, RedisServer

_PATIENCE = 5.0
"""Seconds of socket timeout: a busy machine is not what these tests are about."""

Opened = Callable[[], Redis]
"""Opens one more client to the test's server; the fixture closes it."""


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Product], RedisServer]]:
    """Starts each product's server when it is first asked for."""
    running: dict[Product, RedisServer] = {}

    def server(product: Product) -> RedisServer:
        if product not in running:
            started = RedisServer(tmp_path_factory.mktemp(product), product=product)
            started.start()
            running[product] = started
        return running[product]

    yield server
    for started in running.values():
        started.close()


@pytest.fixture(params=["fakeredis", "valkey", pytest.param("redis", marks=pytest.mark.needs_redis_server)])
def opener(request: pytest.FixtureRequest, servers: Callable[[Product], RedisServer]) -> Opened:
    if request.param == "fakeredis":
        fake = fakeredis.FakeServer(version=(7,))
        return lambda: fakeredis.FakeAsyncRedis(server=fake)
    url = servers(request.param).url
    return lambda: connect(url, timeout=_PATIENCE)


@pytest.fixture
def valkey(servers: Callable[[Product], RedisServer]) -> RedisServer:
    """A real server alone, for what no fake can show."""
    return servers("valkey")


@pytest.fixture
async def opened(opener: Opened) -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:

        def open_one() -> Redis:
            redis = opener()
            stack.push_async_callback(redis.aclose)
            return redis

        await open_one().flushall()
        yield open_one


@pytest.fixture
async def scene(opened: Opened) -> Scene:
    """The contract as one gateway and one worker see it; the worker lives."""
    scene = Scene(opened())
    await scene.beat()
    return scene


@pytest.fixture
async def other(opened: Opened, scene: Scene) -> Scene:
    """Another gateway and another worker at the same server, over a connection of their own."""
    other = Scene(opened())
    await other.beat()
    return other
