"""A Redis of one turn, in memory: log, record and publications, with the faults that a test asks for."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from gateway.state import keys
from gateway.state.errors import StateUnavailable
from gateway.state.ids import START, Position, SessionId, TurnId, TurnRef
from gateway.state.listener import Sink
from gateway.state.records import Entry, Kind, State, TurnStatus
from gateway.state.turnlog import LogPage
from gateway.streaming.relay import Pace, Relay

A_WHILE = 1.5 * Pace().tick
"""Seconds after which a relay has forgotten what nobody follows."""

REF = TurnRef(SessionId("s" * 32), TurnId("0123456789abcdef01234567"))
CHANNEL = keys.log(*REF).encode()


class Line:
    """One connection. Confirmations wait while ``station.confirming`` is false."""

    def __init__(self, station: "Station") -> None:
        self.proven = True
        self.sink: Sink | None = None
        self.unconfirmed: list[bytes] = []
        self.subscribed: set[bytes] = set()
        self.cut = asyncio.Event()
        self._station = station

    async def subscribe(self, channels: Sequence[str]) -> None:
        for channel in channels:
            self._station.commands.append("subscribe")
            self.subscribed.add(channel.encode())
            self.unconfirmed.append(channel.encode())
        self.confirm()

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        for channel in channels:
            self._station.commands.append("unsubscribe")
            self.subscribed.discard(channel.encode())

    def confirm(self, *, most: int = 1000) -> None:
        while self.sink and self.unconfirmed and most and self._station.confirming:
            self.sink.confirmed(self.unconfirmed.pop(0))
            most -= 1

    async def run(self, sink: Sink) -> None:
        self.sink = sink
        self.confirm()
        await self.cut.wait()
        raise StateUnavailable("cut")


class Station:
    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.state: State | None = State.RUNNING
        self.overdue = False
        self.away = False
        """Nothing answers: neither reads nor new connections."""
        self.confirming = True
        self.commands: list[str] = []
        self.line: Line | None = None
        self.overdue_calls = 0

    def relay(self, pace: Pace | None = None) -> Relay:
        return Relay(self.listen, self, self.end_overdue, pace)  # type: ignore[arg-type]

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[Line]:
        if self.away:
            raise StateUnavailable("away")
        self.line = Line(self)
        try:
            yield self.line
        finally:
            self.line = None

    async def read(self, ref: TurnRef, after: Position, *, count: int = 256) -> LogPage:
        assert ref == REF
        self.commands.append("read")
        await asyncio.sleep(0.001)
        if self.away:
            raise StateUnavailable("away")
        if self.state is None:
            return LogPage([], None)
        last = self.entries[-1].id if self.entries else START
        status = TurnStatus(self.state, last.attempt, last, None, 0, self.overdue)
        return LogPage([entry for entry in self.entries if entry.id > after][:count], status)

    async def end_overdue(self, ref: TurnRef) -> bool:
        self.overdue_calls += 1
        if self.away:
            raise StateUnavailable("away")
        if self.overdue:
            self.append(Kind.FAILED, "{}", heard=False)
        return self.overdue

    def cut(self) -> None:
        """The subscription is lost."""
        if self.line is not None:
            self.line.cut.set()

    def append(self, kind: Kind = Kind.TEXT, data: str = "", *, heard: bool = True) -> Entry:
        last = self.entries[-1].id if self.entries else START
        new_attempt = kind in (Kind.START, Kind.RESET)
        entry_id = Position(last.attempt + 1, 0) if new_attempt else Position(last.attempt, last.seq + 1)
        entry = Entry(entry_id, last, kind, (data or f"<{entry_id}>").encode())
        self.entries.append(entry)
        if kind.terminal:
            self.state = State(kind.value)
        if heard:
            self.publish(entry)
        return entry

    def publish(self, entry: Entry) -> None:
        self.say(b"%d-%d " % entry.id + entry.frame())

    def say(self, message: bytes) -> None:
        if self.line is not None and self.line.sink is not None and CHANNEL in self.line.subscribed:
            self.line.sink.message(CHANNEL, message)


async def settled() -> None:
    """Lets everything happen that happens by itself within a tenth of a second."""
    await asyncio.sleep(0.1)
