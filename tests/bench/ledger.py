"""The figures of all rounds, and what can be said of them.

Figures are paired by round: a ratio is the median of the rounds' own ratios, never that of two medians, because the
machine may have been twice as fast in one round as in the next.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median

Figures = Mapping[str, float]
"""Names such as ``cpu/product/100/gateway``, and values in the unit that the measure says."""


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that at least ``percent`` of a hundred do not exceed (nearest rank). Not for no values."""
    rank = math.ceil(len(ordered) * percent / 100)
    return ordered[max(0, rank - 1)]


class Ledger:
    def __init__(self) -> None:
        self.rounds: list[dict[str, float]] = []

    def begin_round(self) -> None:
        self.rounds.append({})

    def add(self, figures: Figures) -> None:
        """To the present round."""
        self.rounds[-1].update(figures)

    def names(self) -> list[str]:
        return sorted({name for figures in self.rounds for name in figures})

    def median(self, name: str) -> float | None:
        """None where no round has it."""
        values = [figures[name] for figures in self.rounds if name in figures]
        return median(values) if values else None

    def ratio(self, name: str, by: str) -> float | None:
        return self._paired(name, by, lambda a, b: a / b if b else math.inf)

    def difference(self, name: str, less: str) -> float | None:
        return self._paired(name, less, lambda a, b: a - b)

    def _paired(self, name: str, other: str, combine: Callable[[float, float], float]) -> float | None:
        values = [
            combine(figures[name], figures[other]) for figures in self.rounds if name in figures and other in figures
        ]
        return median(values) if values else None
