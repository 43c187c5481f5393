"""Serves the app by Hypercorn's HTTP on connections of our own: one task for a request, none for a silent connection.

Hypercorn's own server keeps two tasks, a stream reader and writer and their queues for each connection, as long as it
is open: as much memory again as all that a silent stream needs else. And it does not let a connection go whose caller
has gone, before ``keep_alive_timeout``.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Never

from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.typing import ConnectionState
from hypercorn.utils import repr_socket_addr
from quart import Quart

from gateway.connections import Connection
from gateway.flag import Flag
from gateway.guards.body import ASGIApp

_TICK_SECONDS = 1.0
_PIECE = 64 * 1024
"""Bytes that are read in one go. When as many wait to be looked at, the caller is made to wait."""


class _Context(WorkerContext):
    event_class = Flag


class Server:
    """What its connections have in common."""

    def __init__(self, app: ASGIApp, config: Config) -> None:
        self.app = app
        self.config = config
        self.context = _Context(None)
        self.state = ConnectionState({})
        self.connections: set[Connection] = set()
        self.incoming = memoryview(bytearray(_PIECE))
        """What a connection has just received, for as long as it takes to call it."""
        self._tasks = asyncio.TaskGroup()
        self._empty = asyncio.Event()
        self._over = False

    async def run(self, closing: asyncio.Event) -> None:
        """Accepts connections until ``closing``; returns when the last one has ended. Raises OSError."""
        loop = asyncio.get_running_loop()
        sockets = self.config.create_sockets().insecure_sockets
        for sock in sockets:
            sock.listen(self.config.backlog)
        async with self._tasks:
            listeners = [
                await loop.create_server(lambda: Connection(self), sock=sock, backlog=self.config.backlog)
                for sock in sockets
            ]
            for sock in sockets:
                await self.config.log.info("Running on http://%s", repr_socket_addr(sock.family, sock.getsockname()))
            clock = self._tasks.create_task(self._keep_time())
            try:
                await closing.wait()
                await self.context.terminated.set()
                for listener in listeners:
                    listener.close()
                for connection in list(self.connections):
                    connection.close_if_idle()
                while self.connections:
                    self._empty.clear()
                    await self._empty.wait()
            finally:
                clock.cancel()
                self._over = True

    def spawn(self, step: Coroutine[Any, Any, None]) -> None:
        """``step`` raises nothing. For who comes when all is over, nothing is done."""
        if self._over:
            step.close()
        else:
            self._tasks.create_task(step)

    def opened(self, connection: Connection) -> None:
        self.connections.add(connection)

    def lost(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()

    async def _keep_time(self) -> Never:
        """One clock for all: a timer for each request costs more than to look at all connections now and then."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = asyncio.get_running_loop().time()
            for connection in list(self.connections):
                connection.close_if_idle(now)
                connection.drop_if_stalled(now)


async def serve(app: Quart, config: Config, closing: asyncio.Event) -> None:
    """Starts the app, serves it until ``closing`` and until its last answer, and shuts it down. Raises OSError."""
    await app.startup()
    try:
        await Server(app.asgi_app, config).run(closing)  # type: ignore[arg-type]
    finally:
        await app.shutdown()
