"""The table: what is held against what, and how much of it is enough."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from tests.bench.ledger import Ledger


class By(Enum):
    """How a figure is held against its target. Against a yardstick, figures are paired by round."""

    ITSELF = "the figure"
    RATIO_AT_MOST = "the figure, divided by the yardstick's"
    RATIO_AT_LEAST = "the same, and more is better"
    ADDED = "the figure less the yardstick's"


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    figure: str
    by: By
    limit: float
    unit: str = ""
    yardstick: str = ""
    scale: float = 1.0
    """The figure's and the yardstick's unit, in the row's."""


@dataclass(frozen=True, slots=True)
class Verdict:
    row: Row
    figure: float
    yardstick: float | None
    compared: float
    """What the limit is for."""

    @property
    def met(self) -> bool:
        if self.row.by is By.RATIO_AT_LEAST:
            return self.compared >= self.row.limit
        return self.compared <= self.row.limit


_NAIVE = "cpu/naive/100"

ROWS: Sequence[Row] = (
    Row(
        "CPU per chunk, gateway + Redis + worker, 100 streams", "cpu/product/100", By.RATIO_AT_MOST, 0.35, "µs", _NAIVE
    ),
    Row("  the gateway's share", "cpu/product/100/gateway", By.RATIO_AT_MOST, 1.0, "µs", "cpu/synthetic/100"),
    Row("streams on one gateway", "capacity/gateway", By.RATIO_AT_LEAST, 6.0, "", "capacity/naive"),
    Row("streams through one worker", "capacity/worker", By.RATIO_AT_LEAST, 5.0, "", "capacity/naive"),
    Row("flood, 20 streams, chunks/s", "flood/product", By.RATIO_AT_LEAST, 10.0, "/s", "flood/naive"),
    Row("first chunk, 60 streams, p50, over direct", "first/product/p50", By.ADDED, 5.0, "ms", "first/direct/p50"),
    Row("first chunk, 60 streams, p99, over direct", "first/product/p99", By.ADDED, 20.0, "ms", "first/direct/p99"),
    Row(
        "chunk delay, 100 streams, p99, over direct",
        "delay/product/100/p99",
        By.ADDED,
        10.0,
        "ms",
        "delay/direct/100/p99",
    ),
    Row("RSS per idle stream on a gateway", "idle/rss", By.ITSELF, 16.0, "kB", scale=1 / 1000),
    Row("Redis connections of a gateway", "idle/connections/gateway", By.ITSELF, 8),
    Row("Redis connections of a worker", "idle/connections/worker", By.ITSELF, 8),
    Row("Redis commands per chunk", "commands/chunk", By.ITSELF, 1.0),
    Row("Redis commands per finished turn", "commands/turn", By.ITSELF, 12),
    Row("Redis commands per idle stream and minute", "commands/idle", By.ITSELF, 0.5),
    Row("  of these a gateway's", "commands/idle/gateway", By.ITSELF, 0.5),
    Row("/generate_text, p50, over direct", "text/product", By.ADDED, 6.0, "ms", "text/direct"),
    Row("gateway CPU of a turn without chunks", "turn/gateway", By.ITSELF, 1.5, "ms", scale=1 / 1000),
    Row("longest pause under load, gateway", "pause/gateway", By.ITSELF, 20.0, "ms"),
    Row("longest pause under load, worker", "pause/worker", By.ITSELF, 20.0, "ms"),
    Row("upload of a 4 MB JPEG, loop blocked", "upload/longest", By.ITSELF, 5.0, "ms"),
    Row("start of a gateway", "start/gateway", By.ITSELF, 0.7, "s"),
    Row("start of a worker", "start/worker", By.ITSELF, 1.5, "s"),
    Row("CPU per chunk, 2 gateways over 1", "flat/gateways/2", By.RATIO_AT_MOST, 1.1, "µs", "flat/gateways/1"),
    Row("CPU per chunk, 3 gateways over 1", "flat/gateways/3", By.RATIO_AT_MOST, 1.1, "µs", "flat/gateways/1"),
    Row(
        "CPU per chunk, 10,000 sessions over 1,000",
        "flat/sessions/10000",
        By.RATIO_AT_MOST,
        1.1,
        "µs",
        "flat/sessions/1000",
    ),
)


def verdicts(ledger: Ledger) -> list[Verdict]:
    """Of every row that was measured."""
    found = []
    for row in ROWS:
        figure = ledger.median(row.figure)
        if figure is not None:
            yardstick = ledger.median(row.yardstick)
            compared = _compared(ledger, row)
            found.append(Verdict(row, figure * row.scale, _scaled(yardstick, row.scale), compared))
    return found


def _compared(ledger: Ledger, row: Row) -> float:
    match row.by:
        case By.ITSELF:
            value = ledger.median(row.figure)
        case By.ADDED:
            value = ledger.difference(row.figure, row.yardstick)
        case _:
            return _or_nan(ledger.ratio(row.figure, row.yardstick))
    return _or_nan(value) * row.scale


def _or_nan(value: float | None) -> float:
    """Not a number meets no target."""
    return math.nan if value is None else value


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale
