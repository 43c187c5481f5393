"""The one timer that bounds a stream's silence, on a clock that leaps."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.instant import run_instantly
from workers.silence import Silence


def told_at(story: Callable[[Silence], Awaitable[None]]) -> list[float]:
    """The moments at which silence is told while the story runs and for a day after it."""

    async def scenario() -> list[float]:
        loop, moments = asyncio.get_running_loop(), list[float]()
        silence = Silence(loop, lambda: moments.append(loop.time()))
        await story(silence)
        await asyncio.sleep(86_400)
        return moments

    return run_instantly(scenario())


def test_a_deadline_that_passes_is_told_once() -> None:
    async def story(silence: Silence) -> None:
        silence.within(5)

    assert told_at(story) == [5.0]


def test_each_piece_moves_the_deadline_and_the_last_one_counts() -> None:
    async def story(silence: Silence) -> None:
        for _ in range(10):
            silence.within(5)
            await asyncio.sleep(4)

    assert told_at(story) == [41.0]


def test_a_nearer_deadline_replaces_a_later_one() -> None:
    async def story(silence: Silence) -> None:
        silence.within(120)
        await asyncio.sleep(1)
        silence.within(5)

    assert told_at(story) == [6.0]


def test_one_moment_may_be_the_deadline_of_several_waits() -> None:
    async def story(silence: Silence) -> None:
        silence.until(5)
        await asyncio.sleep(3)
        silence.until(5)

    assert told_at(story) == [5.0]


def test_after_the_end_nothing_is_told() -> None:
    async def story(silence: Silence) -> None:
        silence.within(5)
        silence.close()

    assert told_at(story) == []
