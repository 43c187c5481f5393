"""The one connection over which a process sends its commands, however many tasks ask at once.

Redis answers in the order in which it was asked, so a second question need not wait for the first one's answer. Nobody
borrows a connection, waits for one or gives it back; questions of many tasks leave in one packet, and their answers
arrive in one. What would hold the others up goes elsewhere: a command that blocks over a line of its own, megabytes of
an image over a pool.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import hiredis
from redis._parsers import BaseParser
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

Command = tuple[Any, ...]
"""Its name and arguments: texts, bytes and numbers."""

_REST = 0.05
"""Seconds before what a broken connection has left without an answer is sent over the next one."""


class Meter(Protocol):
    """Who wants to know how the server does."""

    def round_trip(self, seconds: float) -> None:
        """An answer came, so long after its question."""

    def connected(self) -> None: ...

    def lost(self) -> None:
        """A connection broke or was given up, or none could be made."""


class Unmetered:
    """Nobody wants to know."""

    def round_trip(self, seconds: float) -> None: ...

    def connected(self) -> None: ...

    def lost(self) -> None: ...


class Line:
    """Opened when first needed, and anew after it was lost."""

    def __init__(self, pool: ConnectionPool, patience: float) -> None:
        """``patience``: seconds until an answer counts as lost, and its connection with it."""
        self.meter: Meter = Unmetered()
        self._pool = pool
        self._patience = patience
        self._wire: _Wire | None = None
        self._opening: asyncio.Task[_Wire] | None = None

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The answers, in order; an error that the server answered is among them.

        All commands are sent again, once, when the connection broke before the last answer: each must be one that may
        be repeated. Raises redis-py's ConnectionError, and its TimeoutError after ``patience`` (nothing is sent again
        then).
        """
        if not commands:
            return []
        wire = self._wire
        try:
            if wire is None or wire.lost:
                wire = await self._open()
            return await wire.ask(commands)
        except RedisConnectionError:
            await asyncio.sleep(_REST)
            return await (await self._open()).ask(commands)

    async def _open(self) -> "_Wire":
        """All who find the connection lost wait for one and the same attempt, and none of them can cancel it."""
        if self._wire is not None and not self._wire.lost:
            return self._wire
        if self._opening is None:
            self._opening = asyncio.create_task(self._connect())
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    def _opened(self, opening: "asyncio.Task[_Wire]") -> None:
        self._opening = None
        # Looked at also where nobody waits any more, or asyncio would report it.
        if not opening.cancelled() and opening.exception() is not None:
            self.meter.lost()

    async def _connect(self) -> "_Wire":
        self._wire = await _Wire.open(self._pool, self._patience, self.meter)
        self.meter.connected()
        return self._wire

    async def aclose(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._wire is not None:
            self._wire.close()


class _Question:
    """Commands that went out together, and the answers that have come."""

    __slots__ = ("answered", "answers", "asked_at", "count")

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        self.count = count
        self.asked_at = loop.time()
        self.answers: list[Any] = []
        self.answered: asyncio.Future[list[Any]] = loop.create_future()

    def fail(self, error: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)


class _Wire(asyncio.Protocol):
    """One connection, from its handshake to its loss."""

    def __init__(self, writer: asyncio.StreamWriter, patience: float, meter: Meter) -> None:
        self.lost = False
        # Kept, as a writer that is collected closes its transport.
        self._writer = writer
        self._transport = writer.transport
        self._patience = patience
        self._meter = meter
        self._loop = asyncio.get_running_loop()
        self._unanswered: deque[_Question] = deque()
        self._reader = hiredis.Reader(protocolError=RedisConnectionError, replyError=self._refusal)
        self._watch: asyncio.TimerHandle | None = None
        self._demoted = False

    @classmethod
    async def open(cls, pool: ConnectionPool, patience: float, meter: Meter) -> "_Wire":
        """The handshake is redis-py's business (TLS, users, names, database); then its layers are only in the way."""
        connection = pool.connection_class(**pool.connection_kwargs)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        wire = cls(_taken_from(connection), patience, meter)
        wire._transport.set_protocol(wire)
        return wire

    def ask(self, commands: Sequence[Command]) -> "asyncio.Future[list[Any]]":
        """Sends at once; the future may be cancelled, and its answers are dropped then."""
        question = _Question(len(commands), self._loop)
        if self.lost:
            question.fail(RedisConnectionError("The connection was lost."))
            return question.answered
        self._transport.write(b"".join(map(hiredis.pack_command, commands)))
        self._unanswered.append(question)
        if self._watch is None:
            self._watch = self._loop.call_later(self._patience, self._look)
        return question.answered

    def data_received(self, data: bytes) -> None:
        reader, unanswered = self._reader, self._unanswered
        first = unanswered[0] if unanswered else None
        reader.feed(data)
        try:
            while (answer := reader.gets()) is not False:
                question = unanswered[0]
                question.answers.append(answer)
                if len(question.answers) == question.count:
                    unanswered.popleft()
                    if not question.answered.done():
                        question.answered.set_result(question.answers)
        except (RedisError, IndexError) as error:
            self._lose(RedisConnectionError(f"not an answer: {type(error).__name__}"))
            return
        if first is not None:
            self._meter.round_trip(self._loop.time() - first.asked_at)
        if self._demoted:
            self._lose(RedisConnectionError("The server has become a replica."))

    def eof_received(self) -> None:
        self._lose(RedisConnectionError("The server closed the connection."))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(RedisConnectionError(str(exc or "The connection was closed.")))

    def close(self) -> None:
        self._lose(RedisConnectionError("The client was closed."), by_us=True)

    def _refusal(self, text: str) -> Exception:
        error: Exception = BaseParser.parse_error(text)  # type: ignore[no-untyped-call]
        # Whoever connects anew may find the primary, where its name leads to by now.
        self._demoted = self._demoted or isinstance(error, ReadOnlyError)
        return error if isinstance(error, ResponseError) else ResponseError(text)

    def _look(self) -> None:
        """Whether the oldest question waits for too long: then all do, as answers keep their order."""
        self._watch = None
        if not self._unanswered:
            return
        due = self._unanswered[0].asked_at + self._patience
        if self._loop.time() >= due:
            self._lose(RedisTimeoutError("Timeout reading from the server."))
        else:
            self._watch = self._loop.call_at(due, self._look)

    def _lose(self, error: Exception, *, by_us: bool = False) -> None:
        if self.lost:
            return
        self.lost = True
        if self._watch is not None:
            self._watch.cancel()
        self._transport.abort()
        for question in self._unanswered:
            question.fail(error)
        self._unanswered.clear()
        if not by_us:
            self._meter.lost()


def _taken_from(connection: AbstractConnection) -> asyncio.StreamWriter:
    """The open connection, which redis-py knows nothing of from now on."""
    writer = connection._writer  # noqa: SLF001
    connection._writer = connection._reader = None  # noqa: SLF001
    if writer is None:
        raise RedisConnectionError("The connection was lost at once.")
    return writer
