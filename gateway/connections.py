"""Hypercorn's connections: each is let go as soon as its caller has gone, and keeps little while a stream is silent.

Hypercorn 0.18 waits for ``keep_alive_timeout`` even where the caller has closed the connection long since: a file and
some memory for each of them meanwhile, which callers who come and go could make as many as they like. And of what an
idle connection keeps, asyncio's queues and events are the largest part.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from hypercorn.asyncio import run, tcp_server
from hypercorn.asyncio.task_group import TaskGroup, _handle
from hypercorn.asyncio.tcp_server import MAX_RECV, TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.events import Closed, Event, RawData

from gateway.exchange import ON_DISCONNECT

_FINAL_HEADS = tuple(b"HTTP/1.%d %d" % (version, kind) for version in (0, 1) for kind in (2, 3, 4, 5))


class Connection(TCPServer):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._head = b""

    async def protocol_send(self, event: Event) -> None:
        """An answer's head waits for what follows it at once: each piece is a system call, and wakes the caller."""
        if isinstance(event, RawData):
            if not self._head and event.data.startswith(_FINAL_HEADS):
                self._head = event.data
                return
            if self._head:
                self._head, event = b"", RawData(self._head + event.data)
            elif not event.data:
                return
        elif isinstance(event, Closed) and self._head:
            head, self._head = RawData(self._head), b""
            await super().protocol_send(head)
        await super().protocol_send(event)

    async def _read_data(self) -> None:
        """Returns when there is nothing more to read; what is being answered goes on, but nobody waits for more."""
        reader, handle = self.reader, self.protocol.handle
        try:
            while not reader.at_eof():
                await handle(RawData(await reader.read(MAX_RECV)))
        except OSError:
            pass
        await handle(Closed())
        await self.idle_task.stop()


class Tasks(TaskGroup):
    async def spawn_app(self, app: Any, config: Any, scope: Any, send: Any) -> Callable[[Any], Awaitable[None]]:
        mailbox = Mailbox(config.max_app_queue_size)
        scope["extensions"][ON_DISCONNECT] = mailbox.on_disconnect
        self.spawn(_handle, app, config, scope, mailbox.get, send, None, None)
        return mailbox.put


class Flag:
    """An event as Hypercorn wants it. Few are ever waited for."""

    __slots__ = ("_event", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        self._event: asyncio.Event | None = None

    def is_set(self) -> bool:
        return self._is_set

    async def set(self) -> None:
        self._is_set = True
        if self._event is not None:
            self._event.set()
            self._event = None

    async def clear(self) -> None:
        self._is_set = False

    async def wait(self) -> None:
        if not self._is_set:
            self._event = self._event or asyncio.Event()
            await self._event.wait()


class Mailbox:
    """A bounded queue."""

    __slots__ = ("_call", "_held", "_room", "_waiting", "_whole")

    def __init__(self, room: int) -> None:
        self._room = room
        self._held: list[Any] = []
        self._waiting: list[asyncio.Future[None]] = []
        """For a message while there is none, else for room."""
        self._whole = False
        self._call: Callable[[], None] | None = None

    def on_disconnect(self, call: Callable[[], None]) -> bool:
        """Has ``call`` called when the caller goes. False as long as there may be a body: somebody has to take it."""
        if self._whole and not self._held:
            self._call = call
        return self._call is not None

    async def put(self, message: Any) -> None:
        while len(self._held) >= self._room:
            await self._change()
        self._held.append(message)
        self._wake()
        self._whole = self._whole or not message.get("more_body", True)
        if self._call is not None:
            self._call()

    async def get(self) -> Any:
        while not self._held:
            await self._change()
        message = self._held.pop(0)
        self._wake()
        return message

    def _change(self) -> asyncio.Future[None]:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        return waiter

    def _wake(self) -> None:
        """All who wait look again."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()


def install() -> None:
    """Has Hypercorn serve with these. It offers no place for that, so its own names for them are replaced."""
    run.TCPServer = Connection  # type: ignore[attr-defined,assignment]
    tcp_server.TaskGroup = Tasks  # type: ignore[attr-defined]
    WorkerContext.event_class = Flag
