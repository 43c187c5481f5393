"""What an answer is to look like, written into the prompt that asks for it.

The prompt is the one thing that every system under test hands on unread, so the load needs no other channel.
"""

import re
from dataclasses import dataclass
from typing import Self

_FORM = re.compile(rb"\[\[at=(\d+) every=(\d+) count=(\d+)\]\]")

GOLDEN = 0.6180339887
"""Its multiples, modulo one, are spread evenly however many there are."""


@dataclass(frozen=True, slots=True)
class Directive:
    """Times are in microseconds."""

    at: int = 0
    """When chunks begin, by the clock of ``stamp``; 0: at once. Calls that wait for it begin spread over ``every``."""
    every: int = 0
    """From one chunk to the next; 0: as fast as they are taken."""
    count: int = 0

    def __str__(self) -> str:
        return f"[[at={self.at} every={self.every} count={self.count}]]"

    @classmethod
    def find(cls, prompt: bytes) -> Self:
        """The last one: former turns of the conversation stand before it. Raises ``ValueError`` where there is none."""
        found = _FORM.findall(prompt)
        if not found:
            raise ValueError("the prompt has no directive")
        return cls(*map(int, found[-1]))

    def first_due(self, number: int) -> float:
        """Seconds by the monotonic clock at which the ``number``-th call's first chunk is due; 0.0: at once."""
        return (self.at + self.every * (number * GOLDEN % 1)) / 1e6 if self.at else 0.0
