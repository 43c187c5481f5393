"""Settings from environment variables: one variable per field, checked as a whole before anything starts."""

import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import msgspec.inspect as inspect

T = TypeVar("T", bound=msgspec.Struct)

_PLACED = re.compile(r"(?P<problem>.*?)(, got `str`)? - at `\$\.(?P<variable>\w+)(\[[^]]*\])?`", re.DOTALL)


class SettingsError(Exception):
    """A setting that cannot be used: one line that begins with the variable's name and quotes no secret."""


def load(kind: type[T], environ: Mapping[str, str]) -> T:
    """The settings of ``kind``, each field from the variable with its encoded name, else its default.

    Values are stripped; an empty one counts as unset; variables without a field are left alone; a tuple is written as
    a comma-separated list. Raises ``SettingsError``; a ``ValueError`` of the struct's own ``__post_init__`` becomes
    one, so its text has to begin with the variable's name too.
    """
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        value = environ.get(field.encode_name, "").strip()
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
