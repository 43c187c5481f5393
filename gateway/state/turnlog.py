"""A turn's log: read by gateways, written by the turn's worker.

Ids are fences and links. An append names its own id and the one before it, so that a lower attempt than the record's is
fenced off, a repeated command is known as such, and a missing entry is found before anything follows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import msgspec
from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.ids import ClaimToken, Position, TurnRef
from gateway.state.records import Entry, Result, State, TurnStatus, Usage
from gateway.state.replies import status_of
from gateway.state.script import Argument, Call, failed, pairs, run, run_all, script


@dataclass(frozen=True, slots=True)
class LogPage:
    """Entries after a position, oldest first, and the turn's record as it stood then (None: it is gone)."""

    entries: list[Entry]
    status: TurnStatus | None


class Write(msgspec.Struct, frozen=True):
    """One entry as it was frozen when first sent; sent again, it is the same to the letter.

    ``usage`` is cumulative over the attempt. A terminal entry carries the ``result`` that history keeps.
    """

    ref: TurnRef
    token: ClaimToken
    entry: Entry
    usage: Usage | None = None
    result: Result | None = None

    def call(self) -> Call:
        (sid, tid), entry = self.ref, self.entry
        usage = self.usage.encode() if self.usage else ""
        args: list[Argument] = [self.token, b"%d-%d" % entry.id, b"%d-%d" % entry.prev, entry.frame(), usage]
        if self.result is None:
            return Call(script("append"), [keys.turn(sid, tid), keys.log(sid, tid)], args)
        args += [State(entry.kind.value), msgspec.json.encode(self.result)]
        return Call(script("finish"), keys.of_turn(sid, tid), args)


class Verdict(StrEnum):
    """What became of a write."""

    OK = "OK"
    DUP = "DUP"
    """Had been written: the earlier reply was lost."""
    GAP = "GAP"
    """An entry before it is missing; ``last`` is where the log ends. Send again from there."""
    FENCED = "FENCED"
    """The turn belongs to somebody else."""
    ENDED = "ENDED"
    """Somebody else ended the turn."""
    GONE = "GONE"
    """The turn was deleted or has expired."""
    ERROR = "ERROR"
    """The server refused this command (out of memory, read-only, …). Send again later."""

    @property
    def written(self) -> bool:
        return self in (Verdict.OK, Verdict.DUP)

    @property
    def lost(self) -> bool:
        return self in (Verdict.FENCED, Verdict.ENDED, Verdict.GONE)


class WriteReply(msgspec.Struct, frozen=True):
    verdict: Verdict
    last: Position | None = None
    """With GAP: the log's last id."""

    @classmethod
    def of(cls, reply: Any) -> Self:
        if failed(reply):
            return cls(Verdict.ERROR)
        if isinstance(reply, list):
            return cls(Verdict.GAP, Position.parse(reply[1].decode()))
        return cls(_VERDICTS[reply])


_VERDICTS = {verdict.value.encode(): verdict for verdict in Verdict}


class TurnLog:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read(self, ref: TurnRef, after: Position, *, count: int = 256) -> LogPage:
        """Up to ``count`` entries after a position. Raises StateUnavailable.

        A turn that is seen as ended has its last entry in this page or a later one.
        """
        call = Call(script("page"), [keys.turn(*ref), keys.log(*ref)], [str(after.following), count])
        seen, rows = await run(self._redis, call)
        return LogPage([Entry.from_stream(entry_id, pairs(fields)) for entry_id, fields in rows], status_of(seen))

    async def write(self, writes: Sequence[Write]) -> list[WriteReply]:
        """Sends writes of any number of turns in one pipeline; each has its own reply.

        Raises StateUnavailable when the pipeline did not come back whole: send the same writes again.
        """
        replies = await run_all(self._redis, [write.call() for write in writes])
        return [WriteReply.of(reply) for reply in replies]
