"""What the load client counts."""

from array import array
from collections import Counter

from tests.bench.plan import Outcome, spread


class Tally:
    """``since`` and ``until``, in microseconds, bound what counts."""

    def __init__(self, since: int, until: int) -> None:
        self.begun = 0
        self.failures: Counter[str] = Counter()
        self._since = since
        self._until = until
        self._reads = 0
        self._delays = array("q")
        self._firsts = array("q")
        self._turns = array("q")
        self._held = array("d")
        self._latest = 0
        self._silence = 0

    def arrived(self, now: int, stamps: list[int]) -> None:
        if not self._since <= now < self._until:
            return
        self._reads += 1
        if self._latest:
            self._silence = max(self._silence, now - self._latest)
        self._latest = now
        for moment in stamps:
            self._delays.append(now - moment)

    def first(self, now: int, since: int) -> None:
        if self._since <= now < self._until:
            self._firsts.append(now - since)

    def ended(self, now: int, since: int, delayed: float = 0.0) -> None:
        """``delayed``: seconds in which whoever had to do with it waited for a CPU."""
        if self._since <= now < self._until:
            self._turns.append(now - since)
            self._held.append((now - since) / 1000 - delayed * 1000)

    def outcome(self) -> Outcome:
        return Outcome(
            begun=self.begun,
            chunks=len(self._delays),
            reads=self._reads,
            latest=self._latest,
            silence=self._silence / 1000,
            delays=spread(delay / 1000 for delay in self._delays),
            firsts=spread(first / 1000 for first in self._firsts),
            turns=spread(turn / 1000 for turn in self._turns),
            held=spread(self._held),
            failures=dict(+self.failures),
        )
