"""How often strangers may ask: rates that hold over all gateways together.

A rate allows so many events in a window, all at once or spread out, and then lets one more in each ``window / events``
seconds (the generic cell rate algorithm, GCRA). It is exact under concurrency and costs one round trip.
"""

import hashlib
import ipaddress
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NewType, Self

from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.errors import StateUnavailable
from gateway.state.ids import SessionId
from gateway.state.script import Argument, Call, failed, run, run_all, script

Subject = NewType("Subject", str)
"""Whom a rate counts: a session or an address, told by a digest."""

_RATE = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,6})")


@dataclass(frozen=True, slots=True)
class Rate:
    """``events`` in ``window`` seconds."""

    events: int
    window: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """``300/60`` is 300 in 60 seconds; ``off`` is no limit. Raises ``ValueError`` for anything else."""
        if text == "off":
            return None
        match = _RATE.fullmatch(text)
        if match is None:
            raise ValueError("expected events/seconds, as in 300/60, or off")
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class Count:
    """A rate, and whom it counts here. ``policy`` names it in keys and answers."""

    policy: str
    rate: Rate
    subject: Subject


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a count stands after an event."""

    count: Count
    left: int
    reset: float
    """Seconds until nothing of the rate is used."""


@dataclass(frozen=True, slots=True)
class Outcome:
    standings: tuple[Standing, ...]
    refused: Standing | None
    wait: float
    """Seconds until the refusing rate would let one in; 0.0 when none refuses."""

    @property
    def tightest(self) -> Standing | None:
        """The standing that a caller should mind: the one that refuses, else the one with the least left."""
        return self.refused or min(self.standings, key=lambda standing: standing.left, default=None)


class Refusals:
    """What was refused, for as long as it would be again: a caller who asks on is nobody's business but this process's.

    Others who ask can only make that time longer. It is one period of a rate at most (``window / events``): for so long
    a caller may wait in vain, if Redis has lost what it counted.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, most: int = 4096) -> None:
        """The latest ``most`` are remembered. Of others Redis is asked each time."""
        self.clock = clock
        self._most = most
        self._until: dict[Count, tuple[float, float]] = {}
        """When one would be let in, and when all of the rate would be unused."""

    def note(self, outcome: Outcome, asked: float) -> None:
        """``asked`` is a moment before Redis looked at its own clock."""
        if outcome.refused is None:
            return
        count = outcome.refused.count
        self._until.pop(count, None)
        if len(self._until) >= self._most:
            del self._until[next(iter(self._until))]
        self._until[count] = asked + outcome.wait, asked + outcome.refused.reset

    def of(self, counts: Sequence[Count]) -> Outcome | None:
        """The outcome of asking, where it is known: of those that refuse, the one that makes wait the longest."""
        if not self._until:
            return None
        now = self.clock()
        known = [(*self._until[count], count) for count in counts if count in self._until]
        one, unused, count = max(known, default=(now, now, None), key=lambda each: each[0])
        if count is None or one <= now:
            return None
        standing = Standing(count, 0, unused - now)
        return Outcome((standing,), standing, one - now)


class Rates:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._refusals = Refusals()

    def refusal(self, counts: Sequence[Count]) -> Outcome | None:
        """The outcome of ``take`` where it is known to be a refusal. Asks nothing of Redis."""
        return self._refusals.of(counts)

    async def take(self, counts: Sequence[Count]) -> Outcome:
        """Counts one event against all of them, or, if one refuses, against none. Raises StateUnavailable."""
        if not counts:
            return _NOTHING_COUNTED
        if known := self.refusal(counts):
            return known
        asked = self._refusals.clock()
        outcome = _outcome(counts, await run(self._redis, _taking(counts)))
        self._refusals.note(outcome, asked)
        return outcome

    async def take_and_ask(self, counts: Sequence[Count], question: Call) -> tuple[Outcome, Any]:
        """As ``take``; in the same round trip a question is asked, whatever the outcome, and its answer returned.

        So Redis is asked in any case. Whoever need not have an answer looks at ``refusal`` before.
        """
        if not counts:
            return _NOTHING_COUNTED, await run(self._redis, question)
        asked = self._refusals.clock()
        replies = await run_all(self._redis, [_taking(counts), question])
        for reply in replies:
            if failed(reply):
                raise StateUnavailable(type(reply).__name__) from reply
        outcome = _outcome(counts, replies[0])
        self._refusals.note(outcome, asked)
        return outcome, replies[1]


_NOTHING_COUNTED = Outcome((), None, 0.0)


def _taking(counts: Sequence[Count]) -> Call:
    args: list[Argument] = []
    for count in counts:
        args += [count.rate.events, count.rate.window * 1000]
    return Call(script("rates"), [keys.rate(count.policy, count.subject) for count in counts], args)


def _outcome(counts: Sequence[Count], reply: Any) -> Outcome:
    number, wait, *told = reply
    pairs = zip(counts, told[::2], told[1::2], strict=True)
    standings = tuple(Standing(count, max(0, int(left)), int(reset) / 1000) for count, left, reset in pairs)
    return Outcome(standings, standings[number - 1] if number else None, int(wait) / 1000)


def of_session(sid: SessionId) -> Subject:
    return Subject(sid)


@lru_cache(maxsize=1024)
def of_address(address: str) -> Subject:
    """An IPv6 caller is counted by its /64, the smallest block that one customer is given (RFC 6177, RFC 7421)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        known = address
    else:
        if isinstance(parsed, ipaddress.IPv6Address):
            parsed = parsed.ipv4_mapped or ipaddress.IPv6Network((parsed, 64), strict=False).network_address
        known = str(parsed)
    return Subject(hashlib.sha256(known.encode()).hexdigest()[:24])
