"""The README's two ways to save sessions and bring them back, command by command, on a real server."""

import shutil
from pathlib import Path
from typing import Any

from gateway.state.ids import SessionId
from tests.integration.gateway.state.scene import Scene
from tests.processes import found
from tests.servers import RedisServer

NO_EVICTION = ("--maxmemory-policy", "noeviction")


async def conversation(server: RedisServer) -> SessionId:
    """A session with one turn in its history."""
    async with server.client() as redis:
        scene = Scene(redis)
        await scene.beat()
        claim = await scene.claimed(message="to be kept")
        await scene.end(claim, 1)
        return claim.ref.session


async def kept(server: RedisServer, session: SessionId) -> list[str | None]:
    async with server.client() as redis:
        return [turn.input.text for turn in await Scene(redis).sessions.history(session)]


async def settled(redis: Any, field: str) -> None:
    async def over() -> bool:
        return bool((await redis.info("persistence"))[field] == 0)

    await found(over, f"{field} to be 0")


async def test_the_append_only_files_can_be_copied_while_the_server_runs(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "running", aof=True, args=NO_EVICTION) as running:
        session = await conversation(running)
        async with running.client() as redis:
            await redis.config_set("auto-aof-rewrite-percentage", 0)
            await settled(redis, "aof_rewrite_in_progress")
            shutil.copytree(tmp_path / "running" / "appendonlydir", tmp_path / "restored" / "appendonlydir")
            await redis.config_set("auto-aof-rewrite-percentage", 100)

    with RedisServer(tmp_path / "restored", aof=True, args=NO_EVICTION) as restored:
        assert await kept(restored, session) == ["to be kept"]


async def snapshot(running: RedisServer) -> None:
    async with running.client() as redis:
        await redis.bgsave()
        await settled(redis, "rdb_bgsave_in_progress")


async def test_a_snapshot_is_read_with_the_append_only_file_off_and_then_turned_into_one(tmp_path: Path) -> None:
    (tmp_path / "restored").mkdir()
    with RedisServer(tmp_path / "running", aof=True, args=NO_EVICTION) as running:
        session = await conversation(running)
        await snapshot(running)
        shutil.copy(tmp_path / "running" / "dump.rdb", tmp_path / "restored")

    with RedisServer(tmp_path / "restored") as once:
        async with once.client() as redis:
            await redis.config_set("appendonly", "yes")
            await settled(redis, "aof_rewrite_scheduled")
            await settled(redis, "aof_rewrite_in_progress")
        once.stop()

    with RedisServer(tmp_path / "restored", aof=True, args=NO_EVICTION) as restored:
        assert await kept(restored, session) == ["to be kept"]


async def test_with_the_append_only_file_on_a_snapshot_alone_is_not_read(tmp_path: Path) -> None:
    """Why the README takes the detour: this server starts empty and says nothing."""
    (tmp_path / "restored").mkdir()
    with RedisServer(tmp_path / "running", aof=True, args=NO_EVICTION) as running:
        session = await conversation(running)
        await snapshot(running)
        shutil.copy(tmp_path / "running" / "dump.rdb", tmp_path / "restored")

    with RedisServer(tmp_path / "restored", aof=True, args=NO_EVICTION) as restored:
        assert await kept(restored, session) == []
