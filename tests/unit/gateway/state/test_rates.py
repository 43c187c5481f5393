"""Rates as they are written, and whom they count."""

import pytest

from gateway.state.rates import Count, Outcome, Rate, Refusals, Standing, Subject, of_address


@pytest.mark.parametrize(("text", "rate"), [("300/60", Rate(300, 60)), ("1/1", Rate(1, 1)), ("off", None)])
def test_a_rate_is_events_in_seconds(text: str, rate: Rate | None) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", ["", "0/60", "10/0", "10", "10/60s", "-1/60", "1.5/60", "on", "10/ 60"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="events/seconds"):
        Rate.parse(text)


def test_addresses_of_one_ipv6_network_count_as_one() -> None:
    assert of_address("2001:db8:0:1::1") == of_address("2001:db8:0:1:ffff::2")
    assert of_address("2001:db8:0:1::1") != of_address("2001:db8:0:2::1")


def test_an_ipv4_address_in_ipv6_notation_is_the_same_caller() -> None:
    assert of_address("::ffff:192.0.2.7") == of_address("192.0.2.7")


def test_an_address_is_not_told_by_its_subject() -> None:
    assert "192.0.2.7" not in of_address("192.0.2.7")


class Refused:
    """Refusals by a clock that stands still."""

    def __init__(self, *, most: int = 10) -> None:
        self.now = 100.0
        self.refusals = Refusals(lambda: self.now, most=most)

    def note(self, subject: str, *, wait: float, reset: float = 60.0) -> None:
        standing = Standing(of(subject), 0, reset)
        self.refusals.note(Outcome((standing,), standing, wait), self.now)

    def wait_of(self, *subjects: str) -> float | None:
        known = self.refusals.of([of(subject) for subject in subjects])
        return None if known is None else known.wait


def of(subject: str) -> Count:
    return Count("requests", Rate(10, 60), Subject(subject))


def test_a_refusal_holds_until_one_would_be_let_in() -> None:
    refused = Refused()
    refused.note("somebody", wait=6.0)
    refused.now += 5.0
    assert refused.wait_of("somebody") == 1.0
    refused.now += 1.0
    assert refused.wait_of("somebody") is None


def test_what_is_known_is_told_as_redis_would() -> None:
    refused = Refused()
    refused.note("somebody", wait=6.0, reset=60.0)
    refused.now += 1.0
    known = refused.refusals.of([of("another"), of("somebody")])
    assert known is not None
    assert known.refused == known.tightest == Standing(of("somebody"), 0, 59.0)


def test_of_several_that_refuse_the_one_counts_that_makes_wait_the_longest() -> None:
    refused = Refused()
    for subject, wait in (("somebody", 6.0), ("another", 9.0), ("third", 1.0)):
        refused.note(subject, wait=wait)
    assert refused.wait_of("somebody", "another", "third") == 9.0
    refused.now += 8.0
    assert refused.wait_of("somebody", "another") == 1.0
    assert refused.wait_of("somebody", "third") is None


def test_nobody_else_is_refused_for_it() -> None:
    refused = Refused()
    refused.note("somebody", wait=6.0)
    assert refused.wait_of("another") is None
    assert refused.wait_of() is None


def test_who_was_let_in_is_not_remembered() -> None:
    refused = Refused()
    refused.refusals.note(Outcome((Standing(of("somebody"), 3, 6.0),), None, 0.0), 100.0)
    assert refused.wait_of("somebody") is None


def test_the_latest_are_remembered() -> None:
    refused = Refused(most=2)
    for subject in ("first", "second", "first", "third"):
        refused.note(subject, wait=9.0)
    assert [refused.wait_of(subject) for subject in ("first", "second", "third")] == [9.0, None, 9.0]
