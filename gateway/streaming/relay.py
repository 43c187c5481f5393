"""The process's one subscription to Redis, shared by all its readers.

A turn's channel is subscribed while somebody follows the turn. Followers outlive the connection: when it is lost they
wait, and once a new one has confirmed their channel they read what they missed from the log.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Never, Self

import structlog

from gateway.state import keys
from gateway.state.errors import StateUnavailable
from gateway.state.ids import START, Position, TurnRef
from gateway.state.listener import Listener
from gateway.state.turnlog import LogPage, TurnLog
from gateway.streaming.backoff import delay
from gateway.streaming.channel import Channel
from gateway.streaming.follower import Follower
from gateway.streaming.meter import StreamMeter

log = structlog.get_logger(__name__)

LOG_READS = 8
"""At once. After an outage every follower wants to read, and plain requests share the connection with them."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds."""

    heartbeat: float = 15.0
    """A reader who was given nothing for so long is sent a comment."""
    tick: float = 1.0
    """How exact that is."""
    deadline: float = 600.0
    """A silent turn that was followed for so long is ended if its own deadline has passed."""


class Relay:
    """A context manager: it hears while it is entered. Entering does not wait for Redis."""

    def __init__(
        self,
        listen: Callable[[], AbstractAsyncContextManager[Listener]],
        turn_log: TurnLog,
        end_overdue: Callable[[TurnRef], Awaitable[object]],
        pace: Pace | None = None,
        meter: StreamMeter | None = None,
    ) -> None:
        self.draining = False
        self.meter = meter or StreamMeter()
        self._connections = 0
        self._left = False
        self._listen = listen
        self._turn_log = turn_log
        self._end_overdue = end_overdue
        self._pace = pace or Pace()
        self._tasks = asyncio.TaskGroup()
        self._running: list[asyncio.Task[None]] = []
        self._reads = asyncio.Semaphore(LOG_READS)
        self._channels: dict[bytes, Channel] = {}
        self._fresh: set[Channel] = set()
        """Not asked for on the present connection."""
        self._quiet: set[Channel] = set()
        """Nobody follows them any more, unless somebody does again by now."""
        self._expected: set[Channel] = set()
        self._forgetting = False
        self._work = asyncio.Event()
        self._awaited: Counter[bytes] = Counter()

    def follow(self, ref: TurnRef, after: Position = START) -> Follower:
        """A context manager that gives the turn's entries after a position."""
        return Follower(self, ref, after)

    def expect(self, ref: TurnRef) -> None:
        """Hears what is published of a turn that is about to begin, until the next tick if nobody follows it then.

        So its first follower has heard it from the beginning, and need not read the log.
        """
        name = keys.log(*ref)
        channel = self._channels[name.encode()] = Channel(ref, name)
        channel.early = []
        self._expected.add(channel)
        self._touch(channel)

    def drain(self) -> None:
        """Ends every stream, open or to come, between two events; readers come back elsewhere."""
        self.draining = True
        for channel in self._channels.values():
            for follower in channel.followers:
                follower.nudge()

    @property
    def followers(self) -> int:
        return sum(len(channel.followers) for channel in self._channels.values())

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._running = [self._tasks.create_task(self._stay_connected()), self._tasks.create_task(self._keep_time())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left = True
        self.drain()
        for task in self._running:
            task.cancel()
        # A task group would wrap the body's own error into a group. Only a cancellation may be of its making.
        own = kind is not None and issubclass(kind, asyncio.CancelledError)
        await self._tasks.__aexit__(*(kind, error, trace) if own else (None, None, None))

    # What followers call.

    def join(self, follower: Follower) -> Channel:
        name = keys.log(*follower.ref)
        channel = self._channels.get(name.encode())
        if channel is None:
            channel = self._channels[name.encode()] = Channel(follower.ref, name)
            self._touch(channel)
        channel.join(follower)
        return channel

    def leave(self, follower: Follower) -> None:
        channel = self._channels[keys.log(*follower.ref).encode()]
        channel.followers.discard(follower)
        if channel.followers:
            return
        if channel.asked:
            self._quiet.add(channel)  # No hurry: with the next tick all that nobody follows any more are forgotten.
        else:
            self._remove(channel)

    async def read(self, ref: TurnRef, after: Position, count: int) -> LogPage:
        async with self._reads:
            return await self._turn_log.read(ref, after, count=count)

    async def end_overdue(self, ref: TurnRef) -> None:
        await self._end_overdue(ref)

    # What the listener calls.

    def message(self, channel: bytes, data: bytes) -> None:
        if found := self._channels.get(channel):
            found.deliver(data)

    def confirmed(self, channel: bytes) -> None:
        """Only a channel's last confirmation counts: it may have been unsubscribed and asked for again meanwhile."""
        self._awaited[channel] -= 1
        if self._awaited[channel] > 0:
            return
        del self._awaited[channel]
        found = self._channels.get(channel)
        if found is not None and found.asked:
            if found.lost:
                self.meter.fallbacks["resubscribed"] += len(found.followers)
            found.confirm()

    # The tasks.

    async def _stay_connected(self) -> None:
        failures = 0
        # Before Python 3.13 a task group that fails just as it is cancelled forgets the cancellation.
        while not self._left:
            failures = 0 if await self._connection(failures) else failures + 1
            await asyncio.sleep(delay(failures))

    async def _connection(self, failures: int) -> bool:
        """One connection from its opening to its loss. False if it never came to work."""
        proven = False
        try:
            async with self._listen() as listener:
                self._connections += 1
                self.meter.reconnects = self._connections - 1
                try:
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(listener.run(self))
                        tasks.create_task(self._keep_subscribed(listener))
                finally:
                    proven = listener.proven
                    self._lose_all()
        except* StateUnavailable as group:
            tell = log.debug if failures else log.warning
            tell("subscription_lost", reason=str(_first(group)))
        return proven

    async def _keep_subscribed(self, listener: Listener) -> Never:
        while True:
            self._work.clear()
            subscribe, unsubscribe = self._settle()
            await listener.subscribe(subscribe)
            await listener.unsubscribe(unsubscribe)
            await self._work.wait()

    async def _keep_time(self) -> Never:
        clock = asyncio.get_running_loop().time
        patience = max(1, round(self._pace.heartbeat / self._pace.tick))
        while True:
            await asyncio.sleep(self._pace.tick)
            self._forget()
            overdue = clock() - self._pace.deadline
            for channel in self._channels.values():
                for follower in channel.followers:
                    follower.ticks += 1
                    if follower.trusting:
                        follower.doubt()
                    if follower.ticks >= patience:
                        follower.ticks = 0
                        follower.nudge(overdue=follower.suspect or follower.since <= overdue)

    def _touch(self, channel: Channel) -> None:
        self._fresh.add(channel)
        self._work.set()

    def _forget(self) -> None:
        for channel in self._expected:
            channel.early = None
            if not channel.followers:
                self._quiet.add(channel)
        self._expected.clear()
        if self._quiet:
            self._forgetting = True
            self._work.set()

    def _settle(self) -> tuple[list[str], list[str]]:
        """Channels to subscribe, so that those with followers are heard, and to unsubscribe, if it is time for that."""
        subscribe, unsubscribe = [], []
        fresh, self._fresh = self._fresh, set()
        for channel in fresh:
            if channel.wanted:
                channel.asked = True
                self._awaited[channel.name.encode()] += 1
                subscribe.append(channel.name)
            else:
                self._remove(channel)
        if self._forgetting:
            self._forgetting = False
            quiet, self._quiet = self._quiet, set()
            for channel in quiet:
                if not channel.wanted:
                    self._remove(channel)
                    unsubscribe.append(channel.name)
        return subscribe, unsubscribe

    def _remove(self, channel: Channel) -> None:
        del self._channels[channel.name.encode()]
        for several in (self._expected, self._fresh, self._quiet):
            several.discard(channel)

    def _lose_all(self) -> None:
        """Without a connection nothing is subscribed. The next one begins with all that is followed."""
        self._awaited.clear()
        for channel in self._channels.values():
            channel.lose()
        self._fresh.update(self._channels.values())
        self._quiet.clear()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
