"""The table says pass only where a target was met, and says what it was."""

import math

import pytest

from tests.bench.ledger import Ledger
from tests.bench.plot import plot
from tests.bench.table import number, table
from tests.bench.targets import ROWS, By, Row, Verdict, verdicts


def ledger_of(**figures: float) -> Ledger:
    ledger = Ledger()
    ledger.begin_round()
    ledger.add({name.replace("__", "/"): value for name, value in figures.items()})
    return ledger


def verdict(by: By, compared: float) -> Verdict:
    return Verdict(Row("what", "a", by, 5.0), 1.0, 1.0, compared)


@pytest.mark.parametrize("by", [By.ITSELF, By.RATIO_AT_MOST, By.ADDED])
def test_at_most_means_at_most(by: By) -> None:
    assert verdict(by, 5.0).met
    assert not verdict(by, 5.1).met
    assert not verdict(by, math.nan).met


def test_at_least_means_at_least() -> None:
    assert verdict(By.RATIO_AT_LEAST, 5.0).met
    assert not verdict(By.RATIO_AT_LEAST, 4.9).met
    assert not verdict(By.RATIO_AT_LEAST, math.nan).met


def test_a_row_is_held_against_its_yardstick_in_the_rows_unit() -> None:
    ledger = ledger_of(cpu__product__100=200.0, cpu__naive__100=800.0, idle__rss=20_000.0)
    found = {one.row.figure: one for one in verdicts(ledger)}
    chunk, idle = found["cpu/product/100"], found["idle/rss"]
    assert (chunk.figure, chunk.yardstick, chunk.compared, chunk.met) == (200.0, 800.0, 0.25, True)
    assert (idle.figure, idle.yardstick, idle.compared, idle.met) == (20.0, None, 20.0, False)


def test_a_row_without_its_yardstick_is_missed() -> None:
    [found] = verdicts(ledger_of(cpu__product__100=200.0))
    assert not found.met


def test_rows_that_were_not_measured_are_left_out() -> None:
    assert verdicts(Ledger()) == []


def test_every_row_that_is_compared_names_a_yardstick() -> None:
    assert all(bool(row.yardstick) == (row.by is not By.ITSELF) for row in ROWS)
    assert len({row.figure for row in ROWS}) == len(ROWS)


def test_the_table_names_each_verdict_and_each_failure() -> None:
    ledger = ledger_of(cpu__product__100=200.0, cpu__naive__100=800.0, idle__rss=20_000.0, failures__text__product=3.0)
    lines = table(verdicts(ledger), ledger).splitlines()
    assert any("CPU per chunk" in line and "0.25 x" in line and line.endswith("pass") for line in lines)
    assert any("RSS" in line and "20.0 kB" in line and line.endswith("MISS") for line in lines)
    assert any("FAILURES in failures/text/product" in line for line in lines)


@pytest.mark.parametrize(
    ("value", "unit", "text"), [(1234.5, "µs", "1,234 µs"), (12.34, "ms", "12.3 ms"), (0.123, "", "0.12")]
)
def test_numbers_have_the_digits_that_mean_something(value: float, unit: str, text: str) -> None:
    assert number(value, unit) == text


def test_the_plot_shows_what_was_measured_and_nothing_else() -> None:
    ledger = ledger_of(
        delay__product__1__p99=3.0, delay__product__100__p99=9.0, cpu__product__100__gateway=120.0, delay__x__1__p99=1.0
    )
    picture = plot(ledger)
    assert picture.startswith("<svg ")
    assert picture.count("<circle") == 2
    assert "gateway 120" in picture
    assert plot(Ledger()).endswith("</svg>\n")
