"""The one table that a run prints."""

from collections.abc import Sequence

from tests.bench.ledger import Ledger
from tests.bench.targets import By, Row, Verdict

_HEADS = ("", "product", "yardstick", "compared", "target", "")
_TOOLS = ("client", "upstream")


def table(verdicts: Sequence[Verdict], ledger: Ledger) -> str:
    rows = [_HEADS, *(_cells(verdict) for verdict in verdicts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = [_line(row, widths) for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join([*lines, "", *_notes(ledger)])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = row
    cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
    return "  ".join(cells).rstrip()


def _cells(verdict: Verdict) -> tuple[str, ...]:
    row = verdict.row
    yardstick = "" if verdict.yardstick is None else number(verdict.yardstick, row.unit)
    return (
        row.what,
        number(verdict.figure, row.unit),
        yardstick,
        _compared(row, verdict.compared),
        _target(row),
        "pass" if verdict.met else "MISS",
    )


def _compared(row: Row, value: float) -> str:
    match row.by:
        case By.ITSELF:
            return ""
        case By.ADDED:
            return f"{value:+.2f} {row.unit}"
        case _:
            return f"{value:.2f} x"


def _target(row: Row) -> str:
    match row.by:
        case By.ITSELF | By.ADDED:
            return f"<= {row.limit:g} {row.unit}".rstrip()
        case By.RATIO_AT_MOST:
            return f"<= {row.limit:g} x"
        case By.RATIO_AT_LEAST:
            return f">= {row.limit:g} x"


def number(value: float, unit: str = "") -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()


def _notes(ledger: Ledger) -> list[str]:
    """What the table's figures rest on, in figures: where a chunk's cost lies, and that the tools are not the limit."""
    product = _by_role(ledger, "product", ("gateway", "redis", "worker"))
    naive, synthetic = _micros(ledger, "naive"), _micros(ledger, "synthetic")
    tools = {system: _by_role(ledger, system, _TOOLS) for system in ("product", "direct")}
    notes = [
        f"A chunk's CPU, 100 streams: {product}; naive {naive}, synthetic {synthetic}.",
        f"The tools beside the product: {tools['product']}; beside nothing: {tools['direct']}.",
    ]
    for text, name, unit in (
        ("Flood straight from the stand-in to the client", "flood/direct", "chunks/s"),
        ("First chunk by POST /chat and then GET /stream, p50", "first/two calls/p50", "ms"),
        ("First chunk of the naive relay, p50", "first/naive/p50", "ms"),
        ("A whole turn without chunks, worker", "turn/worker", "µs"),
        ("A whole turn without chunks, Redis", "turn/redis", "µs"),
        ("A whole turn without chunks, naive relay", "turn/naive", "µs"),
        ("Commands per idle stream and minute, worker", "commands/idle/worker", ""),
        ("The start of a gateway whose files are not in memory", "start/first/gateway", "s"),
        ("The start of a worker whose files are not in memory", "start/first/worker", "s"),
        ("GET / while the first JPEG is uploaded, waits for a CPU left out", "upload/first", "ms"),
        ("GET / at the longest while a JPEG is uploaded", "upload/waited", "ms"),
        ("GET / at the longest while nothing is uploaded", "upload/quiet", "ms"),
        ("Longest silence over all of 100 streams, product", "silence/product/100", "ms"),
        ("Longest silence over all of 100 streams, direct", "silence/direct/100", "ms"),
    ):
        value = ledger.median(name)
        if value is not None:
            notes.append(f"{text}: {number(value, unit)}.")
    notes += [f"FAILURES in {name}: {number(value)}" for name in ledger.names() if (value := _failed(ledger, name))]
    return notes


def _failed(ledger: Ledger, name: str) -> float:
    # Beyond what a system holds, failing is what is measured.
    overload = name.endswith(("/500", "/1000"))
    return (ledger.median(name) or 0.0) if name.startswith("failures/") and not overload else 0.0


def _by_role(ledger: Ledger, system: str, roles: Sequence[str]) -> str:
    return ", ".join(f"{role} {_micros(ledger, f'{system}', role)}" for role in roles)


def _micros(ledger: Ledger, system: str, role: str = "") -> str:
    value = ledger.median(f"cpu/{system}/100" + (f"/{role}" if role else ""))
    return "-" if value is None else number(value, "µs")
