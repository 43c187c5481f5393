"""Which functions cost most, from stacks that a sampler took."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePath
from typing import Self

_FRAME = re.compile(r"^(?P<name>.+) \((?P<file>[^()]+?)(?::\d+)?\)$")
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Hotspots:
    """Samples by function: those in which it ran itself, and those in which it or what it called did."""

    samples: int
    own: Counter[str]
    whole: Counter[str]

    @classmethod
    def read(cls, stacks: str) -> Self:
        """One stack a line, outermost frame first, semicolons between frames, a blank, and how often it was seen."""
        own, whole, samples = Counter[str](), Counter[str](), 0
        for line in stacks.splitlines():
            stack, _, count = line.rpartition(" ")
            frames = [function(frame) for frame in stack.split(";")]
            samples += int(count)
            own[frames[-1]] += int(count)
            for name in set(frames):
                whole[name] += int(count)
        return cls(samples, own, whole)

    def table(self, cost: float, title: str) -> str:
        """``cost``: of all samples together."""
        lines = [f"{title}: {cost:,.0f} in all ({self.samples} samples)", f"{'whole':>9} {'own':>9}  function"]
        for name, count in self.whole.most_common(_SHOWN):
            lines.append(f"{self._share(count, cost):9.1f} {self._share(self.own[name], cost):9.1f}  {name}")
        lines.append("by their own cost:")
        lines += [
            f"{self._share(self.whole[name], cost):9.1f} {self._share(count, cost):9.1f}  {name}"
            for name, count in self.own.most_common(_SHOWN)
        ]
        return "\n".join(lines) + "\n"

    def _share(self, count: int, cost: float) -> float:
        return count / max(1, self.samples) * cost


def function(frame: str) -> str:
    """``read (redis/asyncio/connection.py:120)`` without the line, and with no more of the path than tells the file."""
    match = _FRAME.match(frame)
    if match is None:
        return frame
    parts = PurePath(match["file"]).parts
    return f"{match['name']} ({'/'.join(parts[-3:])})"
