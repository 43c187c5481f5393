"""Settings from the environment: how values are read, and what is said of those that cannot be."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from gateway.telemetry.environment import SECRET, SettingsError, load


class Sample(msgspec.Struct, frozen=True, kw_only=True, rename=str.upper):
    port: Annotated[int, Meta(ge=1, le=65535)] = 5000
    rate: Annotated[Annotated[float, Meta(gt=0)] | None, Meta(description="optional")] = None
    debug: bool = False
    name: Annotated[str, Meta(pattern="^[a-z]*$")] = "name"
    names: Annotated[tuple[Annotated[str, Meta(max_length=3)], ...], Meta(description="a list")] = ()
    level: Literal["low", "high"] = "low"
    key: Annotated[str, Meta(max_length=5, extra=SECRET)] = ""

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


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    place = tmp_path / "key"
    place.write_text(" k3y\r\n")
    assert load(Sample, {"KEY_FILE": str(place)}) == Sample(key="k3y")
    assert load(Sample, {"KEY_FILE": " ", "KEY": "k"}) == Sample(key="k")


def test_other_settings_are_not(tmp_path: Path) -> None:
    assert load(Sample, {"NAME_FILE": str(tmp_path / "nothing")}) == Sample()


def test_a_secret_is_said_once(tmp_path: Path) -> None:
    place = tmp_path / "key"
    place.write_text("k3y")
    with pytest.raises(SettingsError, match=r"^KEY: Expected it or KEY_FILE, not both$"):
        load(Sample, {"KEY_FILE": str(place), "KEY": "k3y"})


@pytest.mark.parametrize("content", [b"", b" \n", b"x" * 100_000, b"\xff\xfe"])
def test_a_file_without_a_secret_is_one_line_that_names_its_variable(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "key"
    place.write_bytes(content)
    with pytest.raises(SettingsError, match=r"^KEY_FILE: Expected [^\n]+$"):
        load(Sample, {"KEY_FILE": str(place)})


@pytest.mark.parametrize("place", ["nothing", ".", "nothing/at/all", "\0", "x" * 5000])
def test_a_file_that_cannot_be_read_is_one_line_that_names_its_variable(tmp_path: Path, place: str) -> None:
    with pytest.raises(SettingsError, match=r"^KEY_FILE: [^\n]+$"):
        load(Sample, {"KEY_FILE": f"{tmp_path}/{place}"})


def test_what_a_file_holds_is_checked_and_not_quoted(tmp_path: Path) -> None:
    place = tmp_path / "key"
    place.write_text("a-longer-key")
    with pytest.raises(SettingsError) as raised:
        load(Sample, {"KEY_FILE": str(place)})
    assert str(raised.value) == "KEY: Expected `str` of length <= 5"
