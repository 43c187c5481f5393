"""Connections of callers, between the event loop and Hypercorn's HTTP/1.1, which knows no event loop.

Each is let go as soon as its caller has gone, and keeps little while a stream is silent: the task that answers, but no
timer and no queue.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import h11
import structlog
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol

from gateway.extensions import MAILBOX, PIPE
from gateway.mailbox import Mailbox

if TYPE_CHECKING:
    from gateway.server import Server

log = structlog.get_logger(__name__)

_LINGER_SECONDS = 2.0

_STALL_SECONDS = 120.0
"""For how long a caller may take nothing at all of what waits for it. A page comes back and goes on where it was."""


class Http1(H11Protocol):
    async def _check_protocol(self, event: object) -> None:
        """Nobody is talked into HTTP/2: an ``Upgrade`` may be passed over (RFC 9110 section 7.8)."""


class Connection(asyncio.BufferedProtocol):
    """To Hypercorn it is a task group, too."""

    __slots__ = (
        "_backlog",
        "_due",
        "_faulty",
        "_handling",
        "_http",
        "_over",
        "_server",
        "_taken_at",
        "_transport",
        "_unread",
        "_unsent",
        "_writable",
    )

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._transport: asyncio.Transport
        self._http: Http1
        self._unread = b""
        self._unsent = b""
        """What waits for more: each piece that is sent is a system call, and wakes the caller."""
        self._handling = False
        """A task looks at what was received."""
        self._faulty = False
        """What comes is not HTTP, and is dropped. Nothing is sent any more."""
        self._over = False
        """Nothing more comes from the caller."""
        self._due = 0.0
        """When it is closed, by the loop's clock, unless a request comes before. 0 while one is answered."""
        self._writable: asyncio.Event | None = None
        """While the caller is slow to read."""
        self._backlog = 0
        """Bytes that waited for a slow caller, when last looked at."""
        self._taken_at = 0.0
        """When they had become fewer or more, by the loop's clock."""

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        caller, own = (transport.get_extra_info(name) for name in ("peername", "sockname"))
        server = self._server
        self._http = Http1(
            cast("Any", server.app),
            server.config,
            cast("Any", server.context),
            cast("Any", self),
            server.state,
            False,
            caller and caller[:2],
            own and own[:2],
            self.send,
        )
        self._rest(server.config.keep_alive_timeout)
        server.opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """All connections have the same: what was read into it is taken out before anything else is read."""
        return self._server.incoming

    def buffer_updated(self, nbytes: int) -> None:
        if self._faulty:
            return
        incoming = self._server.incoming
        self._unread += incoming[:nbytes]
        if len(self._unread) >= len(incoming):
            self._transport.pause_reading()
        self._see_to_it()

    def eof_received(self) -> bool:
        self._over = True
        self._see_to_it()
        return True  # Whoever is answering is told, and then it is closed.

    def connection_lost(self, _error: Exception | None) -> None:
        self._server.lost(self)
        self.resume_writing()
        self.eof_received()

    def pause_writing(self) -> None:
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set()
            self._writable = None
            self._backlog = 0

    # What Hypercorn calls.

    async def send(self, event: Event) -> None:
        if isinstance(event, RawData):
            self._unsent += event.data
        elif isinstance(event, Updated):
            self._due = 0.0
            if event.idle:
                self._rest(self._server.config.keep_alive_timeout)
        elif isinstance(event, Closed):
            faulty = self._http.connection.their_state is h11.ERROR and not self._over
            (self._give_up if faulty else self._close)()

    async def spawn_app(self, app: Any, config: Any, scope: Any, send: Any) -> Callable[[Any], Awaitable[None]]:
        mailbox = Mailbox(config.max_app_queue_size)
        scope["extensions"][MAILBOX] = mailbox
        self._server.spawn(self._answer(app, scope, mailbox.get, send))
        return mailbox.put

    # What the app calls: a ``gateway.extensions.Pipe``.

    async def write(self, piece: bytes) -> None:
        if piece:  # An empty one would be the last.
            self._unsent += _chunk(piece)
        await self._flush()

    def write_now(self, piece: bytes) -> bool:
        if self._writable is not None or self._unsent or not piece:
            return False
        self._unsent = _chunk(piece)
        return self._send_off()

    # What the server calls.

    def close_if_idle(self, now: float = math.inf) -> None:
        """If it has been for too long by ``now``."""
        if 0.0 < self._due <= now:
            self._close()

    def drop_if_stalled(self, now: float) -> None:
        """If the caller takes nothing more by ``now``: what waits for it would be held for ever, also once closed."""
        if self._writable is None and not self._transport.is_closing():
            return
        backlog = self._transport.get_write_buffer_size()
        if backlog != self._backlog:
            self._backlog, self._taken_at = backlog, now
        elif now - self._taken_at >= _STALL_SECONDS:
            self._transport.abort()

    def _see_to_it(self) -> None:
        if not self._handling:
            self._handling = True
            self._server.spawn(self._handle())

    async def _handle(self) -> None:
        try:
            while self._unread:
                piece, self._unread = self._unread, b""
                if not self._over:
                    self._transport.resume_reading()
                await self._http.handle(RawData(piece))
                await self._flush()
                if self._unread:
                    await asyncio.sleep(0)  # There is more of it: others first.
            if self._over:
                await self._http.handle(Closed())
                self.close_if_idle()
        except Exception:
            # The boundary of one connection: others go on.
            log.exception("connection_broken")
            self._transport.abort()
        finally:
            self._handling = False

    async def _answer(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        async def send_whole(message: Any) -> None:
            """Its head goes out with the beginning of its body, and what ends a body with the last of it."""
            await send(message)
            if message["type"] != "http.response.start":
                await self._flush()
            elif _is_chunked(scope, message):
                scope["extensions"][PIPE] = self

        try:
            try:
                await app(scope, receive, send_whole)
            finally:
                await send(None)
                await self._flush()
                if self._over:
                    self._close()
        except Exception:
            # The boundary of one request: its caller was answered or hung up on above, and others go on.
            log.exception("request_broken")

    async def _flush(self) -> None:
        """Returns when the caller can take more."""
        if self._unsent:
            if not self._send_off():
                await self._http.handle(Closed())
            elif self._writable is not None:
                await self._writable.wait()

    def _send_off(self) -> bool:
        """False where there is nobody any more to send it to."""
        data, self._unsent = self._unsent, b""
        if self._faulty or self._transport.is_closing():
            return False
        self._transport.write(data)
        return True

    def _close(self) -> None:
        self._due = 0.0
        self._send_off()
        self._transport.close()

    def _give_up(self) -> None:
        """Closing with bytes unread would reset the connection under the answer (RFC 9112 section 9.6)."""
        self._unread = b""
        self._transport.resume_reading()
        if self._send_off():
            self._transport.write_eof()
            self._rest(_LINGER_SECONDS)
        self._faulty = True

    def _rest(self, seconds: float) -> None:
        self._due = asyncio.get_running_loop().time() + seconds


def _chunk(piece: bytes) -> bytes:
    """RFC 9112 section 7.1."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _is_chunked(scope: Any, head: Any) -> bool:
    """Whether the pieces of an answer's body are sent as chunks (RFC 9112 section 7.1): its length is not known."""
    bodiless = scope["method"] == "HEAD" or head["status"] in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
    named = {name.lower() for name, _ in head["headers"]}
    return scope["http_version"] == "1.1" and not bodiless and b"content-length" not in named
