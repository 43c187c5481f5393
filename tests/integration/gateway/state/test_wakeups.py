"""A worker's own channel."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.state import keys
from gateway.state.connect import connect
from gateway.state.errors import StateUnavailable
from gateway.state.ids import TurnRef, WorkerId
from gateway.state.records import TextRequest
from gateway.state.wakeups import Wakeups
from tests.integration.gateway.state.scene import Scene
from tests.servers import RedisServer

Heard = asyncio.Queue[TurnRef | StateUnavailable | None]


@asynccontextmanager
async def listening(scene: Scene, worker: WorkerId, *, patience: float = 60.0) -> AsyncIterator[Heard]:
    """What the worker hears from now on; its end is what broke the channel."""
    heard: Heard = asyncio.Queue()

    async def listen() -> None:
        try:
            async for ref in Wakeups(scene.redis).of(worker, patience=patience):
                heard.put_nowait(ref)
        except StateUnavailable as error:
            heard.put_nowait(error)

    task = asyncio.create_task(listen())
    assert await heard.get() is None, "it is subscribed, and may have missed what was said before"
    yield heard
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_worker_hears_of_its_own_turns_alone(scene: Scene, other: Scene) -> None:
    mine, theirs = await scene.claimed(), await other.claimed()
    async with listening(scene, scene.worker) as heard:
        await other.turns.stop(theirs.ref)
        await other.turns.stop(mine.ref)
        assert await heard.get() == mine.ref


async def _stop(scene: Scene, ref: TurnRef) -> None:
    await scene.turns.stop(ref)


async def _force_stop(scene: Scene, ref: TurnRef) -> None:
    await scene.turns.force_stop(ref)


async def _end_overdue(scene: Scene, ref: TurnRef) -> None:
    await scene.redis.hset(keys.turn(*ref), "deadline", "1")
    await scene.turns.end_overdue(ref)


async def _expire(scene: Scene, ref: TurnRef) -> None:
    await scene.turns.expire(ref, await scene.status(ref))


async def _expire_one_that_was_to_stop(scene: Scene, ref: TurnRef) -> None:
    await scene.redis.hset(keys.turn(*ref), "stop", "1")
    await scene.turns.expire(ref, await scene.status(ref))


async def _clear(scene: Scene, ref: TurnRef) -> None:
    session = await scene.sessions.load(ref.session)
    assert session
    await scene.sessions.clear(session)


async def _delete(scene: Scene, ref: TurnRef) -> None:
    await scene.sessions.delete(ref.session)


CHANGES = [_stop, _force_stop, _end_overdue, _expire, _expire_one_that_was_to_stop, _clear, _delete]
"""All that others can do to a running turn."""


@pytest.mark.parametrize("change", CHANGES)
async def test_whoever_changes_a_running_turn_tells_its_worker(
    scene: Scene, other: Scene, change: Callable[[Scene, TurnRef], Awaitable[None]]
) -> None:
    claim = await scene.claimed()
    async with listening(scene, scene.worker) as heard:
        await change(other, claim.ref)
        assert await heard.get() == claim.ref
        assert heard.empty()


@pytest.mark.parametrize("change", CHANGES)
async def test_the_word_is_said_by_the_very_script_that_makes_the_change(
    valkey: RedisServer, change: Callable[[Scene, TurnRef], Awaitable[None]]
) -> None:
    """So whoever dies right behind its script has told."""
    redis = connect(valkey.url, timeout=5)
    scene = Scene(redis)
    await redis.flushall()
    await scene.beat()
    claim = await scene.claimed()
    said = []
    async with redis.monitor() as monitor:
        await change(scene, claim.ref)
        await redis.echo("that was all")
        while "that was all" not in (seen := await monitor.next_command())["command"]:
            if seen["command"].startswith(f"PUBLISH {keys.control(scene.worker)} "):
                said.append(seen["client_type"])
    assert said == ["lua"]
    await redis.aclose()


async def test_nobody_is_told_of_a_turn_without_an_owner(scene: Scene, other: Scene) -> None:
    claim, later = await scene.claimed(), await scene.claimed()
    await scene.turns.put_back(claim)
    async with listening(scene, scene.worker) as heard:
        await other.turns.stop(claim.ref)
        await other.turns.stop(later.ref)
        assert await heard.get() == later.ref


async def test_a_turn_without_a_session_is_named_like_any_other(scene: Scene, other: Scene) -> None:
    claim = await scene.claim(await scene.turns.submit("a prompt", TextRequest("text/plain")))
    async with listening(scene, scene.worker) as heard:
        await other.turns.stop(claim.ref)
        assert await heard.get() == claim.ref


async def test_a_worker_hears_its_own_beats_or_counts_as_deaf(scene: Scene) -> None:
    async with listening(scene, scene.worker, patience=0.3) as heard:
        for _ in range(8):
            await scene.beat()
            await asyncio.sleep(0.1)
        assert heard.empty(), "a beat names no turn"
        assert isinstance(await heard.get(), StateUnavailable)


async def test_a_worker_is_told_that_its_channel_broke(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        redis = connect(server.url)
        scene = Scene(redis)
        async with listening(scene, scene.worker) as heard:
            server.kill()
            assert isinstance(await heard.get(), StateUnavailable)
        await redis.aclose()
