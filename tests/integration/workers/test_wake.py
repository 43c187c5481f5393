"""The worker's ear on a real server: what it missed is asked for, whatever made it deaf."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.state.ids import TurnRef
from gateway.state.wakeups import Wakeups
from tests.integration.workers.bench_worker import BenchWorker
from workers.wake import listen


class Ear:
    """Notes what it hears; a doubt is None."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[TurnRef | None] = asyncio.Queue()

    def word(self, ref: TurnRef) -> None:
        self.heard.put_nowait(ref)

    def doubt(self) -> None:
        self.heard.put_nowait(None)


@asynccontextmanager
async def ear(worker: BenchWorker, patience: float) -> AsyncIterator[Ear]:
    ear = Ear()
    listening = listen(Wakeups(worker.redis), worker.id, patience=patience, on_word=ear.word, on_doubt=ear.doubt)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(listening)
        yield ear
        task.cancel()


async def test_a_subscription_is_a_doubt_and_a_word_is_a_turn(worker: BenchWorker) -> None:
    ref = await worker.begun()
    await worker.claimed(ref)
    async with ear(worker, patience=60) as listener:
        assert await listener.heard.get() is None
        await worker.turns.stop(ref)
        assert await listener.heard.get() == ref


async def test_one_that_was_cut_is_made_anew_and_what_was_said_meanwhile_is_in_doubt(worker: BenchWorker) -> None:
    redis: Any = worker.redis
    async with ear(worker, patience=60) as listener:
        assert await listener.heard.get() is None
        for client in await redis.client_list(_type="pubsub"):
            await redis.client_kill_filter(_id=client["id"])
        assert await listener.heard.get() is None


async def test_one_that_is_silent_while_the_worker_beats_no_more_is_made_anew(worker: BenchWorker) -> None:
    async with ear(worker, patience=0.3) as listener:
        assert await listener.heard.get() is None
        assert await listener.heard.get() is None, "nothing was heard for so long"
