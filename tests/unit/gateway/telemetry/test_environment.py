"""Settings from the environment: how values are read, and what is said of those that cannot be."""

from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from gateway.telemetry.environment import SettingsError, load


class Sample(msgspec.Struct, frozen=True, kw_only=True, rename=str.upper):
    port: Annotated[int, Meta(ge=1, le=65535)] = 5000
    rate: Annotated[Annotated[float, Meta(gt=0)] | None, Meta(description="optional")] = None
    debug: bool = False
    name: Annotated[str, Meta(pattern="^[a-z]*$")] = "name"
    names: Annotated[tuple[Annotated[str, Meta(max_length=3)], ...], Meta(description="a list")] = ()
    level: Literal["low", "high"] = "low"

    def __post_init__(self) -> None:
        if self.name == "taken":
            raise ValueError("NAME: is taken")


def test_what_is_not_set_has_its_default() -> None:
    assert load(Sample, {}) == Sample()


def test_values_are_converted_to_their_fields_types() -> None:
    environ = {"PORT": "80", "RATE": "0.5", "DEBUG": "true", "NAMES": "a, b,,c ", "LEVEL": "high"}

    assert load(Sample, environ) == Sample(port=80, rate=0.5, debug=True, names=("a", "b", "c"), level="high")


def test_an_empty_value_counts_as_unset_and_space_around_one_is_nothing() -> None:
    assert load(Sample, {"PORT": "", "NAME": " \t", "RATE": " 2 \n", "NAMES": ""}) == Sample(rate=2.0)


def test_other_variables_are_left_alone() -> None:
    assert load(Sample, {"PATH": "/bin", "port": "80", "PORT_2": "x"}) == Sample()


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("PORT", "http", "PORT: Expected `int`"),
        ("PORT", "0", "PORT: Expected `int` >= 1"),
        ("PORT", "1e3000", "PORT: Number out of range"),
        ("RATE", "nan", "RATE: Expected `float` > 0.0"),
        ("RATE", "inf", "RATE: Expected a finite number"),
        ("DEBUG", "maybe", "DEBUG: Expected `bool`"),
        ("NAME", "A\nB", "NAME: Expected `str` matching regex '^[a-z]*$'"),
        ("NAMES", "a,four", "NAMES: Expected `str` of length <= 3"),
        ("LEVEL", "middle", "LEVEL: Invalid enum value 'middle'"),
        ("NAME", "taken", "NAME: is taken"),
    ],
)
def test_a_bad_value_is_one_line_that_names_its_variable(variable: str, value: str, line: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(Sample, {variable: value})

    assert str(raised.value) == line
