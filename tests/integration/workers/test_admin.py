"""What operators see of the queue, and how they move a turn that is stuck."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gateway.state.connect import connect
from gateway.state.ids import TurnRef
from gateway.state.records import State
from tests.integration.gateway.state.scene import Scene
from tests.processes import Process, python
from tests.servers import RedisServer
from workers.admin import Admin

MESSAGE = "what nobody but its user may read"


@pytest.fixture
async def scene(server: RedisServer) -> AsyncIterator[Scene]:
    """One living worker, and no turn yet."""
    redis = connect(server.url)
    await redis.flushall()
    scene = Scene(redis)
    await scene.beat()
    yield scene
    await redis.aclose()


class Operator:
    """Someone at a terminal, whose pauses are over at once."""

    def __init__(self, scene: Scene) -> None:
        self.screen = io.StringIO()
        self.admin = Admin(scene.raw, self.screen, sleep=self._sleep)
        self.meanwhile: Callable[[], Awaitable[object]] = scene.queue.census

    async def _sleep(self, _: float) -> None:
        await self.meanwhile()

    async def queue(self) -> dict[str, str]:
        """The lines of the turns, by turn."""
        self.screen.truncate(0)
        await self.admin.show(1.5)
        lines = self.screen.getvalue().splitlines()
        return {line.split()[0]: line for line in lines[2:]}


async def state(scene: Scene, ref: TurnRef) -> State | None:
    status = await scene.turns.status(ref)
    return status.state if status else None


async def test_waiting_and_running_turns_are_listed_without_their_text(scene: Scene) -> None:
    waiting = await scene.begun(message=MESSAGE)
    running = await scene.claimed(message=MESSAGE)
    operator = Operator(scene)

    told = await operator.queue()

    assert set(told) == {waiting.turn, running.ref.turn}
    assert " queued " in told[waiting.turn]
    assert " running " in told[running.ref.turn]
    assert scene.worker in told[running.ref.turn]
    assert MESSAGE not in operator.screen.getvalue()
    assert waiting.session not in operator.screen.getvalue()


async def test_a_lease_that_moves_is_told_from_one_that_stands_still(scene: Scene) -> None:
    other = Scene(scene.redis)
    await other.beat()
    dead, alive = await scene.claimed(), await other.claimed()
    operator = Operator(scene)
    operator.meanwhile = other.beat

    told = await operator.queue()

    assert "still 1.5 s" in told[dead.ref.turn]
    assert "beats" in told[alive.ref.turn]


async def test_an_empty_queue_is_one_line(scene: Scene) -> None:
    operator = Operator(scene)
    assert await operator.queue() == {}
    assert operator.screen.getvalue().startswith("0 waiting, 0 in all, 1 workers alive")


async def test_a_running_turn_goes_to_another_worker_and_its_own_is_fenced_off(scene: Scene) -> None:
    claim = await scene.claimed()
    assert await scene.queue.pop(0.1) == claim.ref

    assert await Operator(scene).admin.requeue(claim.ref.turn) == 0

    assert await state(scene, claim.ref) is State.QUEUED
    assert await scene.queue.pop(0.1) == claim.ref
    assert await scene.turns.check([claim]) == ["FENCED"]
    assert (await scene.claim(claim.ref)).attempt == 2


async def test_a_turn_whose_hint_was_lost_gets_another(scene: Scene) -> None:
    ref = await scene.begun()
    assert await scene.queue.pop(0.1) == ref
    assert await Operator(scene).admin.requeue(ref.turn[:8]) == 0
    assert await scene.queue.pop(0.1) == ref


async def test_a_turn_that_was_asked_to_stop_ends_instead(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.turns.stop(claim.ref)
    operator = Operator(scene)
    assert await operator.admin.requeue(claim.ref.turn) == 0
    assert await state(scene, claim.ref) is State.STOPPED
    assert "is ended" in operator.screen.getvalue()


@pytest.mark.parametrize("text", ["0123456789ab", "not-a-turn", "012", "*"])
async def test_a_turn_that_is_not_there_cannot_be_moved(scene: Scene, text: str) -> None:
    await scene.begun()
    assert await Operator(scene).admin.requeue(text) == 1


async def test_the_commands_work_from_a_shell(scene: Scene, server: RedisServer, tmp_path: Path) -> None:
    claim = await scene.claimed(message=MESSAGE)

    async def run(*words: str) -> tuple[int, str]:
        log = tmp_path / f"{words[0]}.log"
        process = Process("admin", [*python("workers"), *words], log, {"REDIS_URL": server.url})
        return await process.ended(), process.output

    status, told = await run("queue", "--watch", "0.1")
    assert (status, told.count(claim.ref.turn)) == (0, 1)
    status, told = await run("requeue", claim.ref.turn)
    assert (status, "taken from worker" in told) == (0, True)
    assert await state(scene, claim.ref) is State.QUEUED


async def test_without_redis_the_commands_say_so(tmp_path: Path) -> None:
    process = Process("admin", [*python("workers"), "queue"], tmp_path / "log", {"REDIS_URL": "redis://127.0.0.1:1/0"})
    assert await process.ended() == 1
    assert "Redis cannot be used" in process.output
