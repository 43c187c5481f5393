"""An answer on its way in: read in the very step in which its bytes arrive.

A task that waits for each piece is woken for it through all that awaits. Here it is woken for the end, for trouble, and
where there is more than one step should do.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import aiohttp

from workers.model import Sink
from workers.reader import Response, ResponseReader
from workers.silence import Silence

_AT_ONCE = 16
"""Responses that are taken in one step; then others have their turn."""


class Tap(asyncio.Protocol):
    """Stands before a connection's protocol, and tells when that was called."""

    def __init__(self, protocol: asyncio.Protocol, told: Callable[[], None]) -> None:
        self._protocol = protocol
        self._told = told

    def data_received(self, data: bytes) -> None:
        self._protocol.data_received(data)
        self._told()

    def eof_received(self) -> bool | None:
        keep_open = self._protocol.eof_received()
        self._told()
        return keep_open

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)
        self._told()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()


class Intake:
    """Reads the body of one response, whose head has come."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        take: Callable[[Response], None],
        sink: Sink,
        patience: Callable[[], float],
    ) -> None:
        """``take`` is given each response, and puts it into ``sink``; what it raises ends the reading. ``patience``:
        seconds of silence, from now on, after which nothing more is expected.
        """
        self._content = response.content
        self._connection = response.connection
        self._take = take
        self._sink = sink
        self._patience = patience
        self._reader = ResponseReader()
        self._read = 0
        """Bytes of the body."""
        self._left: Iterator[Response] | None = None
        """What has arrived and was not taken yet."""
        self._loop = asyncio.get_running_loop()
        self._silence = Silence(self._loop, self._too_silent)
        self._waiter: asyncio.Future[None] | None = None

    async def read(self, begins: float) -> None:
        """Returns at the body's end. Raises TimeoutError when nothing came by ``begins`` (the loop's clock), or nothing
        more for too long; what aiohttp raises where a connection breaks; what ``ResponseReader`` and ``take`` raise.
        """
        self._silence.until(begins)
        try:
            with self._tapped():
                while not self._take_in():
                    if self._left is None:
                        await self._more()
                    if self._left is not None:
                        await self._rest()
            for response in self._reader.end():
                self._take(response)
        finally:
            self._silence.close()

    @contextmanager
    def _tapped(self) -> Iterator[None]:
        """Is told of all that happens on the connection, until it is given back or left."""
        connection = self._connection
        if connection is None or connection.protocol is None or connection.transport is None:
            yield  # All has come.
            return
        protocol, transport = connection.protocol, connection.transport
        tapped = True

        def remove() -> None:
            nonlocal tapped
            if tapped:
                tapped = False
                transport.set_protocol(protocol)

        transport.set_protocol(Tap(protocol, self._arrived))
        connection.add_callback(remove)  # Whoever gets it next may do so before this task runs again.
        if transport.is_closing():
            # Over TLS the word of its loss may be on its way already, past the tap: it comes before this.
            self._loop.call_soon(self._arrived)
        try:
            yield
        finally:
            remove()

    def _arrived(self) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return  # ``read`` is at work, and looks by itself.
        try:
            over = self._take_in()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for whoever reads
            waiter.set_exception(error)
        else:
            if over or self._left is not None:
                waiter.set_result(None)

    def _take_in(self) -> bool:
        """Takes what has arrived, as much as one step should; True at the end of it all."""
        content, taken = self._content, 0
        while self._left is not None or self._read < content.total_bytes:
            if self._left is None:
                data = content.read_nowait()
                self._read += len(data)
                self._left = iter(self._reader.feed(data))
            for response in self._left:
                self._take(response)
                taken += 1
                if taken == _AT_ONCE or self._sink.full:
                    return False
            self._left = None
        if taken:
            self._silence.within(self._patience())
        error = content.exception()
        if error is not None:
            raise error
        return content.at_eof()

    async def _more(self) -> None:
        """Returns when something has come that is not all taken yet, and at the end. Raises what comes instead."""
        waiter = self._waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None
            if waiter.done() and not waiter.cancelled():
                waiter.exception()  # Looked at also where a cancellation came first, or asyncio would report it.

    async def _rest(self) -> None:
        """Returns when what is left may be taken."""
        await asyncio.sleep(0)
        await self._sink.room()
        self._silence.within(self._patience())

    def _too_silent(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(TimeoutError())
