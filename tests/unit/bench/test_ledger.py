"""Figures are paired by round, whatever the machine's mood in it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.ledger import Ledger, percentile
from tests.bench.plan import NEVER, spread

values = st.lists(st.floats(0, 1e6), min_size=1, max_size=50)


def ledger_of(*rounds: dict[str, float]) -> Ledger:
    ledger = Ledger()
    for figures in rounds:
        ledger.begin_round()
        ledger.add(figures)
    return ledger


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 5.0), (90, 9.0), (91, 10.0), (99, 10.0), (100, 10.0), (10, 1.0), (0, 1.0)]
)
def test_a_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile([float(n) for n in range(1, 11)], percent) == expected


@given(values, st.floats(1, 100))
def test_so_many_of_a_hundred_do_not_exceed_a_percentile(numbers: list[float], percent: float) -> None:
    found = percentile(sorted(numbers), percent)
    assert found in numbers
    # One part in a thousand million is what a rank may lose to rounding.
    assert sum(n <= found for n in numbers) >= len(numbers) * percent / 100 * (1 - 1e-9)
    assert sum(n < found for n in numbers) < len(numbers) * percent / 100 * (1 + 1e-9)


def test_what_never_came_is_no_quick_answer() -> None:
    assert spread([]).count == 0
    assert spread([]).p50 == spread([]).longest == NEVER


def test_a_spread_takes_values_in_any_order() -> None:
    found = spread([3.0, 1.0, 2.0])
    assert (found.count, found.p50, found.p99, found.longest) == (3, 2.0, 3.0, 3.0)


def test_a_ratio_is_the_median_of_the_rounds_own() -> None:
    # The machine is ten times slower in the second round: the ratios there are as true as elsewhere.
    ledger = ledger_of({"a": 1.0, "b": 2.0}, {"a": 10.0, "b": 20.0}, {"a": 1.0, "b": 4.0})
    assert ledger.ratio("a", "b") == 0.5
    assert ledger.difference("a", "b") == -3.0


def test_a_round_that_lacks_one_of_two_figures_says_nothing_of_their_ratio() -> None:
    ledger = ledger_of({"a": 1.0, "b": 2.0}, {"a": 9.0}, {"b": 9.0})
    assert ledger.ratio("a", "b") == 0.5
    assert ledger.ratio("a", "c") is None
    assert ledger.median("a") == 5.0
    assert ledger.median("c") is None


def test_nothing_is_infinitely_more_than_a_yardstick_of_nothing() -> None:
    assert ledger_of({"a": 1.0, "b": 0.0}).ratio("a", "b") == math.inf


def test_figures_of_one_round_are_added_up_over_its_measures() -> None:
    ledger = ledger_of({"a": 1.0})
    ledger.add({"b": 2.0})
    assert ledger.rounds == [{"a": 1.0, "b": 2.0}]
    assert ledger.names() == ["a", "b"]
