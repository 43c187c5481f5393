"""How much something holds is found within a tenth, by few questions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.search import most


class Bridge:
    def __init__(self, strength: int) -> None:
        self.strength = strength
        self.asked: list[int] = []

    async def holds(self, load: int) -> bool:
        self.asked.append(load)
        return load <= self.strength


@given(st.integers(1, 4000), st.integers(1, 4000))
async def test_what_is_found_holds_and_a_tenth_more_does_not(strength: int, guess: int) -> None:
    bridge = Bridge(strength)
    found = await most(bridge.holds, guess, 4000)
    assert found <= strength
    assert found in bridge.asked
    assert strength <= max(found * 1.1, found + 1)
    assert len(bridge.asked) == len(set(bridge.asked)) <= 32


async def test_a_good_guess_is_confirmed_by_few_questions() -> None:
    bridge = Bridge(520)
    assert 472 <= await most(bridge.holds, 500, 4000) <= 520
    assert len(bridge.asked) <= 6


async def test_what_holds_the_limit_is_not_asked_for_more() -> None:
    bridge = Bridge(10_000)
    assert await most(bridge.holds, 1000, 4000) == 4000
    assert max(bridge.asked) == 4000


@pytest.mark.parametrize("guess", [1, 7, 400])
async def test_what_holds_nothing_is_found_to_hold_nothing(guess: int) -> None:
    assert await most(Bridge(0).holds, guess, 4000) == 0
