"""Rates: exact under concurrency, all or none, and gone when unused."""

import asyncio

import pytest
from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.errors import RateSpent
from gateway.state.ids import SessionId, TurnRef
from gateway.state.rates import Count, Rate, Rates, Subject, of_session
from gateway.state.records import Usage
from gateway.state.turns import TOKENS, TurnLimits
from tests.integration.gateway.state.conftest import Opened
from tests.integration.gateway.state.scene import Scene

MINUTE = Rate(10, 60)


def count(rate: Rate = MINUTE, policy: str = "requests", subject: str = "somebody") -> Count:
    return Count(policy, rate, Subject(subject))


@pytest.fixture
def redis(opened: Opened) -> Redis:
    return opened()


async def test_a_rate_lets_in_exactly_as_many_of_those_who_ask_at_once(opened: Opened) -> None:
    gateways = [Rates(opened()) for _ in range(3)]
    outcomes = await asyncio.gather(*(gateways[n % 3].take([count()]) for n in range(200)))
    assert sum(outcome.refused is None for outcome in outcomes) == 10


async def test_a_refusal_says_how_long_to_wait_and_what_refused(redis: Redis) -> None:
    rates = Rates(redis)
    for _ in range(10):
        await rates.take([count()])
    outcome = await rates.take([count()])
    assert outcome.refused is not None
    assert outcome.refused.count.policy == "requests"
    assert 0 < outcome.wait <= 6
    assert outcome.refused.left == 0


async def test_the_standing_counts_down(redis: Redis) -> None:
    rates = Rates(redis)
    left = [(await rates.take([count()])).standings[0].left for _ in range(3)]
    assert left == [9, 8, 7]


async def test_an_event_that_one_rate_refuses_counts_against_none(redis: Redis) -> None:
    rates = Rates(redis)
    narrow, wide = count(Rate(1, 60), "narrow"), count(Rate(5, 60), "wide")
    await rates.take([narrow, wide])
    refused = await rates.take([narrow, wide])
    assert refused.refused is not None
    assert refused.refused.count is narrow
    assert [standing.left for standing in refused.standings] == [0, 4]
    assert (await rates.take([wide])).standings[0].left == 3


async def test_subjects_and_policies_are_counted_apart(redis: Redis) -> None:
    rates = Rates(redis)
    one = Rate(1, 60)
    for each in (count(one), count(one, subject="other"), count(one, policy="other")):
        assert (await rates.take([each])).refused is None
    assert (await rates.take([count(one)])).refused is not None


async def test_an_unused_rate_leaves_no_key(redis: Redis) -> None:
    await Rates(redis).take([count(Rate(1000, 60))])
    assert 0 < await redis.pttl(keys.rate("requests", "somebody")) <= 61


async def test_the_tightest_standing_is_the_one_with_the_least_left(redis: Redis) -> None:
    outcome = await Rates(redis).take([count(Rate(5, 60), "wide"), count(Rate(2, 60), "narrow")])
    assert outcome.tightest is not None
    assert outcome.tightest.count.policy == "narrow"


async def test_who_asks_on_is_told_the_same_without_redis(redis: Redis) -> None:
    rates = Rates(redis)
    narrow, wide = count(Rate(1, 60), "narrow"), count(Rate(5, 60), "wide")
    await rates.take([narrow])
    first = await rates.take([wide, narrow])
    await redis.delete(keys.rate("narrow", "somebody"))  # Redis would let it in.
    again = await rates.take([wide, narrow])
    assert again.refused is not None
    assert (again.refused.count, again.refused.left) == (narrow, 0)
    assert 0 < again.wait <= first.wait <= 60
    assert (await rates.take([wide])).refused is None


async def test_without_rates_nothing_is_asked_of_redis(redis: Redis) -> None:
    await redis.aclose()
    assert (await Rates(redis).take([])).refused is None


def test_all_rates_share_a_slot() -> None:
    assert "{rates}" in keys.rate("a", of_session(SessionId("s")))


async def test_a_session_begins_no_more_turns_than_its_rate_allows(opened: Opened) -> None:
    scene = Scene(opened(), turn_limits=TurnLimits(rates={"turns": Rate(2, 60)}))
    await scene.beat()
    session = await scene.session()
    for _ in range(2):
        begun = await scene.turns.begin(session, message="hi")
        await scene.turns.stop(TurnRef(session.id, begun.turn))
    with pytest.raises(RateSpent) as spent:
        await scene.turns.begin(session, message="hi")
    assert spent.value.policy == "turns"
    assert 0 < spent.value.wait <= 30


async def test_a_refused_begin_stores_nothing_and_leaves_no_trace_in_the_index(opened: Opened) -> None:
    scene = Scene(opened(), turn_limits=TurnLimits(rates={"turns": Rate(1, 60)}))
    await scene.beat()
    session = await scene.session()
    begun = await scene.turns.begin(session, message="hi")
    await scene.turns.stop(TurnRef(session.id, begun.turn))
    await scene.sessions.put_message(session, "kept")
    with pytest.raises(RateSpent):
        await scene.turns.begin(session)
    found = await scene.sessions.load(session.id)
    assert found is not None
    assert (found.pending_message, found.running) == (True, None)
    assert (await scene.queue.census()).live == 0


async def test_what_turns_really_used_is_charged_to_the_sessions_tokens(opened: Opened) -> None:
    scene = Scene(opened(), turn_limits=TurnLimits(rates={TOKENS: Rate(100, 86400)}))
    await scene.beat()
    session = await scene.session()
    for used in (60, 60):
        claim = await scene.claimed(session)
        await scene.end(claim, 1, usage=Usage(0, used, used))
    with pytest.raises(RateSpent) as spent:
        await scene.turns.begin(session, message="hi")
    assert spent.value.policy == TOKENS


async def test_a_rate_too_high_to_count_lets_everybody_in(redis: Redis) -> None:
    rates = Rates(redis)
    outcomes = [await rates.take([count(Rate(900_000_000, 60))]) for _ in range(3)]
    assert all(outcome.refused is None for outcome in outcomes)
