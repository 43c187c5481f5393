"""When records are asked about running turns, on a clock that leaps."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from math import inf
from typing import cast

from gateway.state.errors import StateUnavailable
from gateway.state.ids import ClaimToken, SessionId, TurnId, TurnRef
from gateway.state.records import Claim, TurnInput
from gateway.state.turns import Turns
from tests.instant import run_instantly
from workers.holds import AT_ONCE, Hold, Holds, Interrupt

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = 3600.0


class Records:
    """Answers who asks, and notes what was asked together."""

    def __init__(self) -> None:
        self.away = False
        self.answers: dict[TurnRef, str] = {}
        self.calls: list[list[TurnRef]] = []

    async def check(self, claims: Sequence[Claim]) -> list[str]:
        refs = [claim.ref for claim in claims]
        self.calls.append(refs)
        await asyncio.sleep(0)
        if self.away:
            raise StateUnavailable("away")
        return [self.answers.get(ref, "OK") for ref in refs]


def claim(number: int, left: float = inf) -> Claim:
    ref = TurnRef(SessionId("s"), TurnId(f"{number:024x}"))
    return Claim(ref, ClaimToken("w/1"), 1, TurnInput("hi", (), NOW), NOW, left)


def holding(count: int, scenario: Callable[[Holds, Records, list[Hold]], Awaitable[None]]) -> Records:
    """Runs a scenario while so many turns are held."""

    async def run() -> Records:
        records = Records()
        holds = Holds(cast(Turns, records))
        with ExitStack() as held:
            kept = [held.enter_context(holds.keep(claim(number))) for number in range(count)]
            task = asyncio.ensure_future(holds.run())
            await scenario(holds, records, kept)
            task.cancel()
        return records

    return run_instantly(run())


def test_nobody_is_asked_while_nothing_happens() -> None:
    async def scenario(_holds: Holds, _records: Records, _kept: list[Hold]) -> None:
        await asyncio.sleep(HOUR)

    assert holding(100, scenario).calls == []


def test_a_nudge_asks_for_its_own_turn_at_once_and_for_no_other() -> None:
    async def scenario(holds: Holds, records: Records, kept: list[Hold]) -> None:
        records.answers[kept[5].claim.ref] = "STOP"
        holds.nudge(kept[5].claim.ref)
        await asyncio.sleep(0.001)
        assert records.calls == [[kept[5].claim.ref]]
        assert [hold for hold in kept if hold.interrupt] == [kept[5]]
        assert kept[5].interrupt is Interrupt.STOP

    holding(20, scenario)


def test_in_doubt_all_are_asked_a_part_at_a_time() -> None:
    async def scenario(holds: Holds, records: Records, kept: list[Hold]) -> None:
        records.answers = {kept[0].claim.ref: "FENCED", kept[999].claim.ref: "STOP"}
        holds.doubt()
        await asyncio.sleep(0.001)
        assert sorted(ref for call in records.calls for ref in call) == sorted(hold.claim.ref for hold in kept)
        assert max(map(len, records.calls)) == AT_ONCE
        assert [kept[0].interrupt, kept[1].interrupt, kept[999].interrupt] == [Interrupt.LOST, None, Interrupt.STOP]

    holding(1000, scenario)


def test_what_could_not_be_asked_is_asked_until_it_is_answered() -> None:
    async def scenario(holds: Holds, records: Records, kept: list[Hold]) -> None:
        records.away = True
        holds.doubt()
        await asyncio.sleep(10)
        assert not any(hold.interrupt for hold in kept)
        records.away = False
        records.answers = dict.fromkeys((hold.claim.ref for hold in kept), "ERROR")
        await asyncio.sleep(10)
        assert not any(hold.interrupt for hold in kept)
        records.answers = {kept[0].claim.ref: "FENCED"}
        await asyncio.sleep(1)
        assert [hold.interrupt for hold in kept] == [Interrupt.LOST, None, None]
        records.calls.clear()
        await asyncio.sleep(HOUR)
        assert records.calls == []

    holding(3, scenario)


def test_a_turn_that_is_let_go_is_asked_for_no_more() -> None:
    async def scenario(holds: Holds, records: Records, kept: list[Hold]) -> None:
        records.away = True
        with holds.keep(claim(99)) as hold:
            ref = hold.claim.ref
            assert ref in holds
            holds.nudge(ref)
            await asyncio.sleep(1)
        assert ref not in holds
        records.away = False
        records.calls.clear()
        holds.nudge(ref)
        await asyncio.sleep(1)
        assert records.calls == []

    holding(0, scenario)


def test_what_was_said_while_the_claim_was_under_way_is_asked_after() -> None:
    async def scenario(holds: Holds, records: Records, kept: list[Hold]) -> None:
        quiet = claim(1)
        with holds.keep(quiet, words=holds.words):
            await asyncio.sleep(1)
            assert records.calls == []
        for doubted in (False, True):
            words = holds.words
            holds.doubt() if doubted else holds.nudge(claim(2).ref)
            with holds.keep(claim(2), words=words):
                await asyncio.sleep(1)
            assert records.calls == [[claim(2).ref]]
            records.calls.clear()

    holding(0, scenario)


def test_a_turn_that_comes_back_to_the_worker_it_was_taken_from_is_lost_to_its_former_run() -> None:
    async def scenario(holds: Holds, records: Records, kept: list[Hold]) -> None:
        [former] = kept
        with holds.keep(claim(0)) as hold:
            assert (former.interrupt, hold.interrupt) == (Interrupt.LOST, None)
            assert holds.all == [hold]
        assert former.claim.ref not in holds

    holding(1, scenario)


def test_a_turn_past_its_deadline_is_asked_for_although_nobody_said_a_word() -> None:
    async def scenario(holds: Holds, records: Records, kept: list[Hold]) -> None:
        with holds.keep(claim(7, left=60.0)) as hold:
            records.answers[hold.claim.ref] = "GONE"
            await asyncio.sleep(59)
            assert records.calls == []
            await asyncio.sleep(3)
            assert hold.interrupt is Interrupt.LOST

    holding(5, scenario)
