"""Ended turns leave the index together, and what cannot leave holds nothing up."""

import asyncio
from typing import Any, cast

from gateway.state.errors import StateUnavailable
from gateway.state.ids import SessionId, TurnId, TurnRef
from gateway.state.queue import Queue
from tests.instant import run_instantly
from workers.departures import MOMENT, Departures


class Index:
    def __init__(self) -> None:
        self.calls: list[list[TurnRef]] = []
        self.away = False

    async def leave(self, *refs: TurnRef) -> None:
        if self.away:
            raise StateUnavailable("away")
        self.calls.append(list(refs))


def turn(number: int) -> TurnRef:
    return TurnRef(SessionId("s" * 32), TurnId(f"{number:024x}"))


def departing(test: Any) -> None:
    async def main() -> None:
        index = Index()
        departures = Departures(cast("Queue", index))
        running = asyncio.ensure_future(departures.run())
        await test(index, departures)
        running.cancel()

    run_instantly(main())


def test_turns_that_end_within_a_moment_leave_in_one_command() -> None:
    async def test(index: Index, departures: Departures) -> None:
        departures.add(turn(1))
        await asyncio.sleep(MOMENT / 2)
        departures.add(turn(2))
        assert turn(1) in departures
        await asyncio.sleep(MOMENT)
        departures.add(turn(3))
        assert turn(1) not in departures
        await asyncio.sleep(2 * MOMENT)
        assert index.calls == [[turn(1), turn(2)], [turn(3)]]

    departing(test)


def test_a_turn_that_cannot_leave_is_left_to_the_sweep() -> None:
    async def test(index: Index, departures: Departures) -> None:
        index.away = True
        departures.add(turn(1))
        await asyncio.sleep(2 * MOMENT)
        assert turn(1) not in departures
        index.away = False
        departures.add(turn(2))
        await asyncio.sleep(2 * MOMENT)
        assert index.calls == [[turn(2)]]

    departing(test)


def test_very_many_turns_leave_in_commands_of_bounded_size() -> None:
    async def test(index: Index, departures: Departures) -> None:
        for number in range(2500):
            departures.add(turn(number))
        await departures.flush()
        assert [len(call) for call in index.calls] == [1000, 1000, 500]

    departing(test)
