"""Rates as they are written, and whom they count."""

import pytest

from gateway.state.rates import Rate, of_address


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
