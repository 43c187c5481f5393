"""When leases are renewed, on a clock that leaps."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import pairwise
from typing import cast

import pytest

from gateway.state.errors import StateUnavailable
from gateway.state.ids import ClaimToken, SessionId, TurnId, TurnRef
from gateway.state.records import Claim, TurnInput
from gateway.state.turns import Turns
from tests.instant import run_instantly
from workers.lease import Hold, Interrupt, LeaseKeeper

LEASE = 2.4
INTERVAL = LEASE / 3
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Records:
    """Answers renewals and notes when they came."""

    def __init__(self) -> None:
        self.away = False
        self.slowness = 0.0
        self.answers: dict[TurnRef, str] = {}
        self.calls: list[list[TurnRef]] = []
        self.moments: dict[TurnRef, list[float]] = defaultdict(list)

    async def renew(self, claims: Sequence[Claim]) -> list[str]:
        refs = [claim.ref for claim in claims]
        self.calls.append(refs)
        for ref in refs:
            self.moments[ref].append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.slowness)
        if self.away:
            raise StateUnavailable("away")
        return [self.answers.get(ref, "OK") for ref in refs]


def claim(number: int) -> Claim:
    ref = TurnRef(SessionId("s"), TurnId(f"{number:024x}"))
    return Claim(ref, ClaimToken("w/1"), 1, TurnInput("hi", (), NOW), NOW)


def keeping(count: int, scenario: Callable[[LeaseKeeper, Records, list[Hold]], Awaitable[None]]) -> Records:
    """Runs a scenario while so many turns are held."""

    async def run() -> Records:
        records = Records()
        keeper = LeaseKeeper(cast(Turns, records), lease=LEASE)
        with ExitStack() as held:
            holds = [held.enter_context(keeper.keep(claim(number))) for number in range(count)]
            task = asyncio.ensure_future(keeper.run())
            await scenario(keeper, records, holds)
            task.cancel()
        return records

    return run_instantly(run())


async def for_a_while(_keeper: LeaseKeeper, _records: Records, _holds: list[Hold]) -> None:
    await asyncio.sleep(10 * INTERVAL)


@pytest.mark.parametrize("count", [1, 7, 100])
def test_every_lease_is_renewed_once_in_each_third_of_it(count: int) -> None:
    moments = keeping(count, for_a_while).moments
    assert len(moments) == count
    for renewed in moments.values():
        assert renewed[0] <= INTERVAL + 1e-6
        gaps = [after - before for before, after in pairwise(renewed)]
        assert gaps == pytest.approx([INTERVAL] * len(gaps))


def test_what_many_turns_need_is_spread_over_the_time() -> None:
    assert {len(refs) for refs in keeping(800, for_a_while).calls} == {100}


def test_a_nudge_asks_for_its_own_turn_at_once_and_for_no_other() -> None:
    async def scenario(keeper: LeaseKeeper, records: Records, holds: list[Hold]) -> None:
        await asyncio.sleep(1.25 * INTERVAL / 8)
        records.answers[holds[5].claim.ref] = "STOP"
        records.calls.clear()
        keeper.nudge(holds[5].claim.ref)
        await asyncio.sleep(0.001)
        assert records.calls == [[holds[5].claim.ref]]
        assert [hold for hold in holds if hold.interrupt] == [holds[5]]
        assert holds[5].interrupt is Interrupt.STOP

    keeping(20, scenario)


def test_a_slow_redis_puts_off_no_renewal_beyond_the_next_but_one() -> None:
    async def scenario(_keeper: LeaseKeeper, records: Records, _holds: list[Hold]) -> None:
        records.slowness = 1.1 * INTERVAL
        await asyncio.sleep(10 * INTERVAL)
        records.slowness = 0.0
        await asyncio.sleep(10 * INTERVAL)

    records = keeping(16, scenario)
    assert {len(refs) for refs in records.calls} == {2}
    for renewed in records.moments.values():
        assert max(after - before for before, after in pairwise(renewed)) == pytest.approx(2 * INTERVAL)
        assert renewed[-1] - renewed[-2] == pytest.approx(INTERVAL)


def test_while_redis_is_away_the_turns_go_on() -> None:
    async def scenario(keeper: LeaseKeeper, records: Records, holds: list[Hold]) -> None:
        records.away = True
        await asyncio.sleep(2 * INTERVAL)
        assert not any(hold.interrupt for hold in holds)
        records.away = False
        records.answers[holds[0].claim.ref] = "FENCED"
        await asyncio.sleep(2 * INTERVAL)
        assert [hold.interrupt for hold in holds] == [Interrupt.LOST, None, None]

    keeping(3, scenario)


def test_a_turn_that_is_let_go_is_renewed_no_more() -> None:
    async def scenario(keeper: LeaseKeeper, records: Records, holds: list[Hold]) -> None:
        with keeper.keep(claim(99)) as hold:
            await asyncio.sleep(2 * INTERVAL)
            ref = hold.claim.ref
        renewed = len(records.moments[ref])
        assert renewed > 0
        keeper.nudge(ref)
        await asyncio.sleep(2 * INTERVAL)
        assert len(records.moments[ref]) == renewed

    keeping(1, scenario)
