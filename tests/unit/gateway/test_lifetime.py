"""What lives as long as the app serves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.lifetime import Lifetime
from tests.instant import run_instantly


class Part:
    """Entered and left; may break while it is entered, or be slow to leave."""

    def __init__(self, *, breaks: bool = False, deaf: bool = False) -> None:
        self.happened: list[str] = []
        self._breaks = breaks
        self._deaf = deaf

    @asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        self.happened.append("enter")
        async with asyncio.TaskGroup() as tasks:
            if self._breaks:
                tasks.create_task(self._break())
            yield
            if self._deaf:
                await asyncio.Event().wait()
        self.happened.append("leave")

    async def _break(self) -> None:
        await asyncio.sleep(5)
        raise RuntimeError("broken")


def served(part: Part, seconds: float) -> tuple[Lifetime, list[str]]:
    async def main() -> Lifetime:
        lifetime = Lifetime(part.live, lambda: part.happened.append("told"))
        serving = lifetime.serving()
        await anext(serving)
        part.happened.append("serving")
        await asyncio.sleep(seconds)
        assert await anext(serving, "over") == "over"
        return lifetime

    return run_instantly(main()), part.happened


def test_it_is_entered_before_the_first_request_and_left_after_the_last() -> None:
    lifetime, happened = served(Part(), 1)
    assert happened == ["enter", "serving", "leave"]
    assert not lifetime.failed


def test_where_it_breaks_the_replica_is_told() -> None:
    lifetime, happened = served(Part(breaks=True), 10)
    assert happened == ["enter", "serving", "told"]
    assert lifetime.failed


def test_what_does_not_hear_that_it_is_over_is_told_again() -> None:
    lifetime, happened = served(Part(deaf=True), 1)
    assert happened == ["enter", "serving"]
    assert not lifetime.failed
