"""Settings from environment variables: one variable per field, checked as a whole before anything starts."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import msgspec.inspect as inspect

T = TypeVar("T", bound=msgspec.Struct)

_PLACED = re.compile(r"(?P<problem>.*?)(, got `str`)? - at `\$\.(?P<variable>\w+)(\[[^]]*\])?`", re.DOTALL)


SECRET = {"secret": True}
"""``Meta(extra=SECRET)`` marks a setting that a file may hold, as containers are given secrets."""

_FILE_MAX_BYTES = 64 * 1024


class SettingsError(Exception):
    """A setting that cannot be used: one line that begins with the variable's name and quotes no secret."""


def load(kind: type[T], environ: Mapping[str, str]) -> T:
    """The settings of ``kind``, each field from the variable with its encoded name, else its default.

    Values are stripped; an empty one counts as unset; variables without a field are left alone; a tuple is written as
    a comma-separated list. What ``SECRET`` marks may be in the file that ``<variable>_FILE`` names, instead. Raises
    ``SettingsError``; a ``ValueError`` of the struct's own ``__post_init__`` becomes
    one, so its text has to begin with the variable's name too.
    """
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        value = environ.get(field.encode_name, "").strip()
        if _is_secret(field.type):
            value = _secret(field.encode_name, value, environ)
        if value:
            values[field.encode_name] = _items(value) if _is_list(field.type) else value
    try:
        settings = msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_one_line(str(error))) from None
    for field in msgspec.structs.fields(kind):
        number = getattr(settings, field.name)
        if isinstance(number, float) and not math.isfinite(number):
            raise SettingsError(f"{field.encode_name}: Expected a finite number")
    return settings


def _is_secret(annotation: Any) -> bool:
    kind = inspect.type_info(annotation)
    return isinstance(kind, inspect.Metadata) and bool((kind.extra or {}).get("secret"))


def _secret(variable: str, value: str, environ: Mapping[str, str]) -> str:
    """The value itself, or what the file holds. Raises ``SettingsError``."""
    variable_of_file = f"{variable}_FILE"
    place = environ.get(variable_of_file, "").strip()
    if not place:
        return value
    if value:
        raise SettingsError(f"{variable}: Expected it or {variable_of_file}, not both")
    try:
        with Path(place).open("rb") as file:
            content = file.read(_FILE_MAX_BYTES + 1)
        text = content.decode().strip()
    except OSError as error:
        raise SettingsError(f"{variable_of_file}: Cannot read {place}: {error.strerror or 'no such path'}") from None
    except ValueError:  # not UTF-8, or a path that cannot be one
        raise SettingsError(f"{variable_of_file}: Expected the path of a text file in UTF-8") from None
    if not text or len(content) > _FILE_MAX_BYTES:
        raise SettingsError(f"{variable_of_file}: Expected {place} to hold the secret and nothing else")
    return text


def _is_list(annotation: Any) -> bool:
    kind = inspect.type_info(annotation)
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return isinstance(kind, inspect.VarTupleType)


def _items(value: str) -> list[str]:
    return [item for part in value.split(",") if (item := part.strip())]


def _one_line(problem: str) -> str:
    placed = _PLACED.fullmatch(problem)
    return " ".join((f"{placed['variable']}: {placed['problem']}" if placed else problem).split())
