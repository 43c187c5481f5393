"""The write side of turn logs: group commit for all turns of a worker.

Whatever the turns have to write goes out together as one pipeline, one after the other and at a measured pace, so that
many chunks cost one; text that one turn queued meanwhile becomes one entry. What somebody waits for keeps no pace: an
attempt's first text, and a turn's end.

An entry is frozen when first sent: id and bytes stay the same however often it is sent again, so a reply that was lost
costs nothing. While Redis is away text gathers here, in bounded memory.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from time import monotonic

import msgspec
import structlog

from gateway.state.errors import StateUnavailable
from gateway.state.ids import Position
from gateway.state.records import Claim, Entry, Kind, Result, Usage
from gateway.state.turnlog import TurnLog, Verdict, Write, WriteReply

_log = structlog.get_logger(__name__)

PACE = 0.0075
"""Seconds from one pipeline's start to the next one's, unless something urgent comes."""

_BACKOFF = (0.05, 0.5)
"""Seconds before a failed pipeline is sent again: first, and at most."""


class _Frozen(msgspec.Struct, frozen=True, gc=False):
    """An entry but for its ids. Kept to the end of the attempt, by the thousand, so nothing in it is the garbage
    collector's business.
    """

    kind: Kind
    data: bytes
    usage: Usage | None
    result: Result | None


def _untold(_seconds: float, _entries: int) -> None:
    """Where nobody wants to know."""


class Writer:
    """Writes one attempt of one turn. All methods are the event loop's own; none may be called from a thread."""

    def __init__(
        self, claim: Claim, wake: Callable[["Writer", bool], None], *, buffer: int, on_lost: Callable[[], None]
    ) -> None:
        self._claim = claim
        self._wake = wake
        self._on_lost = on_lost
        self._buffer = buffer
        self._text: list[bytes] = []
        self._text_size = 0
        self.usage: Usage | None = None
        """What the attempt has used so far, as far as it is known."""
        self._sent: list[_Frozen] = []
        """The entry ``<attempt>-<n>`` is the n-th of them."""
        self._acked = 0
        self._ending: tuple[Kind, bytes, Result] | None = None
        self._changed = asyncio.Event()
        self.lost: Verdict | None = None
        self.size = 0
        """Bytes of text put so far."""

    @property
    def wrote_text(self) -> bool:
        """Whether a reader may hold text of this attempt."""
        return bool(self._sent)

    def put(self, text: str, usage: Usage | None = None) -> None:
        """Queues text and the attempt's cumulative usage."""
        if usage is not None:
            self.usage = usage
        if text:
            encoded = text.encode()
            self._text.append(encoded)
            self._text_size += len(encoded)
            self.size += len(encoded)
            self._wake(self, not self._sent)

    @property
    def full(self) -> bool:
        """As many bytes as the buffer may hold wait to be sent: the upstream is read no further until there is room."""
        return self._text_size >= self._buffer and self.lost is None

    async def room(self) -> None:
        while self.full:
            await self._next_change()

    async def finish(self, kind: Kind, data: bytes, result: Result) -> Verdict:
        """Ends the turn after everything put before; returns once that is written, or can't be any more."""
        self._ending = (kind, data, result)
        self._wake(self, True)
        while self.lost is None and not (self._sent and self._sent[-1].result is not None and self.idle):
            await self._next_change()
        return self.lost or Verdict.OK

    async def close(self) -> None:
        """Drops what was not sent and returns when nothing is in flight: the attempt ends unfinished."""
        self._text.clear()
        self._text_size = 0
        while self.lost is None and not self.idle:
            await self._next_change()

    @property
    def idle(self) -> bool:
        return self._acked == len(self._sent)

    @property
    def urgent(self) -> bool:
        """What was sent has to be sent again, or the end is waiting."""
        return not self.idle or self._ending is not None

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    # What the journal calls.

    def writes(self) -> Sequence[Write]:
        """What is to be sent now, oldest first: unacknowledged entries again, or newly frozen ones."""
        if self.lost is not None:
            return ()
        if self.idle:
            self._freeze()
        return [self._write(before) for before in range(self._acked, len(self._sent))]

    def _freeze(self) -> None:
        if self._text:
            self._append(Kind.TEXT, b"".join(self._text), None)
            self._text.clear()
            self._text_size = 0
        if self._ending is not None:
            self._append(*self._ending)
            self._ending = None

    def _append(self, kind: Kind, data: bytes, result: Result | None) -> None:
        self._sent.append(_Frozen(kind, data, self.usage, result))

    def _write(self, before: int) -> Write:
        """The write of the entry that follows so many."""
        claim, frozen = self._claim, self._sent[before]
        attempt = claim.attempt
        entry = Entry(Position(attempt, before + 1), Position(attempt, before), frozen.kind, frozen.data)
        return Write(claim.ref, claim.token, entry, frozen.usage, frozen.result)

    def settle(self, write: Write, reply: WriteReply) -> None:
        if reply.verdict.written:
            self._acked = max(self._acked, write.entry.id.seq)
        elif reply.verdict is Verdict.GAP and reply.last is not None and reply.last.attempt == self._claim.attempt:
            # The log ends before what was acknowledged (a restarted server lost its tail) or an entry between was
            # refused: everything after its end goes out again.
            self._acked = min(self._acked, reply.last.seq)
        elif reply.verdict is not Verdict.ERROR and self.lost is None:
            self.lost = Verdict.FENCED if reply.verdict is Verdict.GAP else reply.verdict
            self._on_lost()
        self._changed.set()

    @property
    def unsent(self) -> bool:
        """Something that was put is not known to be in the log, and may still come to it."""
        return self.lost is None and (not self.idle or bool(self._text) or self._ending is not None)


class Journal:
    def __init__(
        self,
        turnlog: TurnLog,
        *,
        buffer: int,
        pipeline: int = 512,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_commit: Callable[[float, int], None] = _untold,
    ) -> None:
        """``buffer``: bytes of unsent text a turn may gather before its upstream waits; ``pipeline``: turns a write;
        ``on_commit`` is told each write's seconds and entries.
        """
        self._turnlog = turnlog
        self._buffer = buffer
        self._pipeline = pipeline
        self._sleep = sleep
        self._on_commit = on_commit
        self._waiting: dict[Writer, None] = {}
        self._work = asyncio.Event()
        self._began = -inf
        self._pacer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self, claim: Claim, *, on_lost: Callable[[], None]) -> Writer:
        """A writer for one attempt; ``on_lost`` is called once if the turn turns out to be no longer the claim's."""
        return Writer(claim, self._enqueue, buffer=self._buffer, on_lost=on_lost)

    def _enqueue(self, writer: Writer, urgent: bool) -> None:
        self._waiting[writer] = None
        if urgent or self._loop is None:
            self._work.set()
        elif self._pacer is None and not self._work.is_set():
            self._pacer = self._loop.call_at(self._began + PACE, self._due)

    def _due(self) -> None:
        self._pacer = None
        self._work.set()

    async def run(self) -> None:
        """Writes until cancelled."""
        delay, most = _BACKOFF
        self._loop = asyncio.get_running_loop()
        while True:
            await self._work.wait()
            self._began = self._loop.time()
            if await self._commit():
                delay = _BACKOFF[0]
            else:
                await self._sleep(delay * random.uniform(0.5, 1.0))
                delay = min(delay * 2, most)

    async def _commit(self) -> bool:
        """Sends one pipeline; False when some of it has to be sent again after a while."""
        batch = self._take()
        writes = [(writer, write) for writer in batch for write in writer.writes()]
        if not writes:
            return True
        began = monotonic()
        try:
            replies = await self._turnlog.write([write for _, write in writes])
        except StateUnavailable as error:
            _log.debug("log entries wait", entries=len(writes), reason=str(error))
            for writer in batch:
                self._enqueue(writer, True)
            return False
        self._on_commit(monotonic() - began, len(writes))
        for (writer, write), reply in zip(writes, replies, strict=True):
            writer.settle(write, reply)
        for writer in batch:
            if writer.unsent:
                self._enqueue(writer, writer.urgent)
        return all(reply.verdict is not Verdict.ERROR for reply in replies)

    def _take(self) -> list[Writer]:
        batch = list(self._waiting)[: self._pipeline]
        for writer in batch:
            del self._waiting[writer]
        if not self._waiting:
            self._work.clear()
            if self._pacer is not None:
                self._pacer.cancel()
                self._pacer = None
        return batch
