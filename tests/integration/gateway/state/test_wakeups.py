"""A worker's own channel."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.state import keys
from gateway.state.connect import connect
from gateway.state.errors import StateUnavailable
from gateway.state.ids import ClaimToken, TurnRef, WorkerId
from gateway.state.turns import wake
from gateway.state.wakeups import Wakeups
from tests.integration.gateway.state.scene import Scene
from tests.servers import RedisServer


@asynccontextmanager
async def listening(scene: Scene, worker: WorkerId) -> AsyncIterator["asyncio.Queue[TurnRef | StateUnavailable]"]:
    """What the worker hears from now on; its end is what broke the channel."""
    heard: asyncio.Queue[TurnRef | StateUnavailable] = asyncio.Queue()

    async def listen() -> None:
        try:
            async for ref in Wakeups(scene.redis).of(worker):
                heard.put_nowait(ref)
        except StateUnavailable as error:
            heard.put_nowait(error)

    task = asyncio.create_task(listen())
    channel = keys.control(worker)
    while (await scene.redis.pubsub_numsub(channel))[0][1] == 0:
        await asyncio.sleep(0)  # a test double may answer without ever letting others run
    yield heard
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_worker_hears_of_its_own_turns_alone(scene: Scene, other: Scene) -> None:
    mine, theirs = await scene.claimed(), await other.claimed()
    async with listening(scene, scene.worker) as heard:
        await other.turns.stop(theirs.ref)
        await other.turns.stop(mine.ref)
        assert await heard.get() == mine.ref


async def test_nobody_is_woken_for_a_turn_without_an_owner(scene: Scene) -> None:
    claim = await scene.claimed()
    async with listening(scene, scene.worker) as heard:
        await wake(scene.redis, claim.ref, ClaimToken(""))
        await wake(scene.redis, claim.ref, claim.token)
        assert await heard.get() == claim.ref
        assert heard.empty()


async def test_a_worker_is_told_that_its_channel_broke(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        redis = connect(server.url)
        scene = Scene(redis)
        async with listening(scene, scene.worker) as heard:
            server.kill()
            assert isinstance(await heard.get(), StateUnavailable)
        await redis.aclose()
