import asyncio
from collections.abc import Callable

import pytest
import redis.exceptions

from gateway.state.errors import unavailable_is_told


async def _swallowing(then: Callable[[], None], begun: asyncio.Event) -> None:
    """As ``asyncio.wait_for`` before Python 3.12, where a result comes together with the cancellation."""
    with unavailable_is_told():
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            then()


def _fail() -> None:
    raise redis.exceptions.ConnectionError


@pytest.mark.parametrize("then", [lambda: None, _fail], ids=["with a result", "with an error"])
async def test_a_cancellation_that_was_swallowed_inside_is_raised_at_the_end(then: Callable[[], None]) -> None:
    begun = asyncio.Event()
    task = asyncio.create_task(_swallowing(then, begun))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_call_in_a_task_that_was_cancelled_before_still_works() -> None:
    """What cleans up after a cancellation may use the contract."""

    async def cleaning_up() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            with unavailable_is_told():
                await asyncio.sleep(0)
        return "cleaned up"

    task = asyncio.create_task(cleaning_up())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "cleaned up"


async def test_a_timeout_around_a_call_that_swallows_it_is_still_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await _swallowing(lambda: None, asyncio.Event())
