"""What the stand-in is told to do in one call, and how a prompt tells it."""

import re
import shlex
from typing import Annotated, Literal

import msgspec

_DIRECTIVE = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)

SECRET_DETAIL = "upstream detail that no user may see"

Fault = Literal["", "reset", "close", "end", "error", "raw_error", "garbage", "json", "shape"]


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One call's behaviour. The package's docstring explains each field."""

    chunks: Annotated[int, msgspec.Meta(ge=0)] = 8
    words: Annotated[int, msgspec.Meta(ge=1)] = 1
    pad: Annotated[int, msgspec.Meta(ge=0)] = 0
    text: str | None = None
    unique: bool = False
    thoughts: Annotated[int, msgspec.Meta(ge=0)] = 0
    finish: str = "STOP"
    apart: bool = False
    first: float = 0.0
    delay: float = 0.0
    split: Annotated[int, msgspec.Meta(ge=-1)] = 0
    newline: Literal["crlf", "lf"] = "crlf"
    hold: int | None = None
    status: int = 200
    retry_after: str = ""
    retry_delay: str = ""
    reason: str = ""
    message: str = SECRET_DETAIL
    body: str | None = None
    type: str = "text/html"
    block: str = ""
    fault: Fault = ""
    at: Annotated[int, msgspec.Meta(ge=-1)] = 0
    times: Annotated[int, msgspec.Meta(ge=0)] = 0

    def without_trouble(self) -> "Script":
        return msgspec.structs.replace(self, hold=None, status=200, block="", fault="", at=0)


class Queued(msgspec.Struct, forbid_unknown_fields=True):
    """A script that waits for the calls it fits."""

    script: Script
    match: str = ""
    model: str = ""
    times: int = 1

    def fits(self, text: str, model: str) -> bool:
        return self.match in text and self.model in ("", model)


def has_directives(text: str) -> bool:
    return _DIRECTIVE.search(text) is not None


def directives(text: str) -> Script:
    """The script that ``[[key=value flag ...]]`` in a prompt spells. Raises ``ValueError`` for a misspelt one."""
    fields: dict[str, str] = {}
    for directive in _DIRECTIVE.findall(text):
        for word in shlex.split(directive):
            key, equals, value = word.partition("=")
            fields[key] = value if equals else "true"
    try:
        return msgspec.convert(fields, Script, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"the stand-in does not know this directive: {error}") from error
