"""The README's table of settings, made from the settings themselves.

python -m tests.readme      # writes it into README.md
"""

import re
from pathlib import Path
from typing import Any, get_args

import msgspec

from gateway.settings import GatewaySettings
from workers.settings import WorkerSettings

README = Path(__file__).parent.parent / "README.md"

_BLOCK = re.compile(r"(<!-- settings: begin -->\n).*(<!-- settings: end -->)", re.DOTALL)


def table() -> str:
    """One line a variable; those that both processes read come once."""
    rows: dict[str, list[str]] = {}
    for who, kind in (("gateway", GatewaySettings), ("worker", WorkerSettings)):
        for field in msgspec.structs.fields(kind):
            row = [f"`{field.encode_name}`", who, _default(field.default), _description(field.type)]
            known = rows.get(field.encode_name)
            if known is None:
                rows[field.encode_name] = row
            elif known[2:] == row[2:]:
                known[1] = "both"
            else:
                raise ValueError(f"{field.encode_name} means two things: {known} and {row}")
    lines = ["| variable | who | default | what it is |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows.values())]) + "\n"


def written() -> str:
    """The table as the README has it."""
    match = _BLOCK.search(README.read_text(encoding="utf-8"))
    assert match is not None
    return match[0].partition("\n")[2].removesuffix(match[2])


def _default(value: Any) -> str:
    if value is None or value in ("", ()):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _description(annotation: Any) -> str:
    """The one of the annotation's ``Meta``s that describes."""
    said = [meta.description for meta in get_args(annotation) if isinstance(meta, msgspec.Meta) and meta.description]
    return str(said[-1])


if __name__ == "__main__":
    README.write_text(
        _BLOCK.sub(lambda match: match[1] + table() + match[2], README.read_text(encoding="utf-8")), encoding="utf-8"
    )
