"""Gateways inside the test's own process, over a real server, with a worker that does what the test says."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.state.connect import connect
from tests.integration.gateway.edge import Edge, settings_for
from tests.integration.gateway.state.scene import Scene
from tests.servers import RedisServer

_PATIENCE = 5.0
"""Seconds of socket timeout."""


@pytest.fixture(scope="session")
def shared_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
async def valkey(shared_valkey: RedisServer) -> RedisServer:
    """Emptied; not to be harmed: other tests use it, too."""
    client = shared_valkey.client()
    await client.flushall()
    await client.aclose()
    return shared_valkey


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[RedisServer]:
    """A server to be killed and frozen."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
async def serve(shared_valkey: RedisServer) -> AsyncIterator[Callable[..., Any]]:
    """Opens gateways: ``await serve(server, setting=value)``. Each has a living worker's beat beside it."""
    async with AsyncExitStack() as stack:

        async def opened(server: RedisServer, *, worker: bool = True, **settings: Any) -> Edge:
            redis = connect(server.url, timeout=_PATIENCE)
            stack.push_async_callback(redis.aclose)
            scene = Scene(redis)
            if worker:
                await scene.beat()
            # Where the server is never away, a busy machine must not make it look so.
            patient = connect(server.url, timeout=_PATIENCE) if server is shared_valkey else None
            if patient is not None:
                stack.push_async_callback(patient.aclose)
            return await stack.enter_async_context(Edge(settings_for(server, **settings), scene, patient))

        yield opened


@pytest.fixture
async def edge(serve: Callable[..., Any], valkey: RedisServer) -> Edge:
    opened: Edge = await serve(valkey)
    return opened
