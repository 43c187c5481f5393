import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.exceptions
from redis.asyncio import Redis

from tests.processes import found
from workers.standalone import valkey
from workers.standalone.child import Child
from workers.standalone.home import Home
from workers.standalone.problem import Problem
from workers.standalone.valkey import Valkey, embedded, find_server


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """In a directory whose name would have to be quoted in a configuration."""
    path = tmp_path / 'a "strange" name'
    path.mkdir()
    return Home(path)


@asynccontextmanager
async def running(home: Home) -> AsyncIterator[tuple[Valkey, Child]]:
    server = embedded(home, {})
    child = Child(server.program, home.lock("valkey"))
    await child.start()
    try:
        await server.listening()
        async with Redis.from_url(server.url) as client:
            await found(lambda: _loaded(client), "the server's data")
        yield server, child
    finally:
        await child.end(asyncio.Event())


async def _loaded(client: Redis) -> bool:
    try:
        return bool(await client.ping())
    except redis.exceptions.BusyLoadingError:
        return False


@pytest.mark.parametrize("order", [signal.SIGTERM, signal.SIGKILL])
async def test_what_was_acknowledged_is_there_after_any_end(home: Home, order: signal.Signals) -> None:
    async with running(home) as (server, child), Redis.from_url(server.url) as client:
        await client.set("said", "hello")
        assert child.pid is not None
        os.kill(child.pid, order)
        await child.ended()

    async with running(home) as (server, _), Redis.from_url(server.url) as client:
        assert await client.get("said") == b"hello"


async def test_others_on_the_machine_are_kept_out(home: Home) -> None:
    async with running(home) as (server, _), Redis.from_url(server.url) as client:
        assert (await client.config_get("port"))["port"] == "0"
        for path in (home.path / "valkey.conf", home.path / "valkey", server.socket):
            assert path.stat().st_mode & 0o077 == 0


async def test_a_home_whose_path_is_too_long_for_a_socket_will_do(tmp_path: Path) -> None:
    path = tmp_path / ("deep" * 25)
    path.mkdir()
    async with running(Home(path)) as (server, _):
        assert not server.socket.is_relative_to(path)
        assert server.socket.parent.stat().st_mode & 0o077 == 0
    server.tidy()
    assert not server.socket.parent.exists()


def _server_that_says(directory: Path, name: str, version: str) -> Path:
    program = directory / name
    program.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0:0 bits=64'\n")
    program.chmod(0o755)
    return program


def test_a_new_enough_server_on_the_path_will_do_where_the_package_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey, "_bundled", lambda: None)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    _server_that_says(tmp_path, "valkey-server", "6.2.1")
    redis_server = _server_that_says(tmp_path, "redis-server", "7.0.15")
    assert find_server() == redis_server


def test_without_any_server_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey, "_bundled", lambda: None)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    _server_that_says(tmp_path, "redis-server", "6.2.1")
    with pytest.raises(Problem, match=r"install valkey-server or redis-server \(7\.0 or newer\), or set REDIS_URL$"):
        find_server()
