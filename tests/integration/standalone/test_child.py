import asyncio
import signal
from pathlib import Path

import pytest

from tests.integration.standalone.programs import ENDS_AT_THE_SECOND_SIGNAL, SLEEPS, STUBBORN, program
from tests.processes import until
from workers.standalone.child import Child, Program
from workers.standalone.home import Home
from workers.standalone.problem import Problem


@pytest.fixture
def calm() -> asyncio.Event:
    """Nobody hurries."""
    return asyncio.Event()


async def started(home: Path, of: Program, output: Path | None = None) -> Child:
    """A child that runs and, with ``output``, has printed its first line."""
    child = Child(of, Home(home).lock(of.name))
    await child.start()
    if output is not None:
        await until(lambda: output.exists() and output.read_text() != "", "its first line")
    return child


async def test_a_child_is_ended_when_asked(tmp_path: Path, calm: asyncio.Event) -> None:
    child = await started(tmp_path, program("worker", SLEEPS))
    await child.end(calm)
    assert await child.ended() == -signal.SIGTERM
    assert child.pid is None


async def test_ending_what_has_ended_or_never_began_does_nothing(tmp_path: Path, calm: asyncio.Event) -> None:
    await Child(program("worker", SLEEPS), Home(tmp_path).lock("worker")).end(calm)
    child = await started(tmp_path, program("worker", "pass"))
    assert await child.ended() == 0
    await child.end(calm)


async def test_a_child_that_does_not_end_in_time_is_killed(tmp_path: Path, calm: asyncio.Event) -> None:
    out = tmp_path / "out"
    child = await started(tmp_path, program("worker", STUBBORN, grace=0.2, output=out), out)
    await child.end(calm)
    assert await child.ended() == -signal.SIGKILL


async def test_a_hurried_child_is_asked_again(tmp_path: Path, calm: asyncio.Event) -> None:
    out = tmp_path / "out"
    child = await started(tmp_path, program("worker", ENDS_AT_THE_SECOND_SIGNAL, grace=60, output=out), out)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(child.end(calm))
        await until(lambda: out.read_text().splitlines() == ["deaf", "asked"], "the first signal to arrive")
        calm.set()
    assert await child.ended() == 7


async def test_a_child_can_be_started_again(tmp_path: Path, calm: asyncio.Event) -> None:
    child = await started(tmp_path, program("worker", SLEEPS))
    first = child.pid
    await child.end(calm)
    await child.start()
    assert child.pid not in {None, first}
    assert Home(tmp_path).lock("worker").holder == child.pid
    await child.end(calm)


async def test_a_program_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    child = Child(Program("valkey", [str(tmp_path / "none")], {}, 1), Home(tmp_path).lock("valkey"))
    with pytest.raises(Problem, match=r"^cannot start the valkey: .*none"):
        await child.start()
