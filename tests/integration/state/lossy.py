"""A line to a server that can lose a reply: the command was carried out, and its sender will never know."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

from gateway.state.script import script


class LossyLine:
    """A TCP proxy on loopback. A context manager: leaving it cuts every connection."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener: asyncio.Server | None = None
        self._marker: bytes | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.lost = 0
        """Replies lost so far."""

    @property
    def url(self) -> str:
        assert self._listener
        return f"redis://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}/0"

    def lose_reply_to(self, name: str) -> None:
        """The next run of the script gets no reply: its connection breaks once the server has answered."""
        self._marker = script(name).sha.encode()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._listener
        self._listener.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        try:
            with suppress(ConnectionError):
                await self._talk(reader, writer, upstream_reader, upstream_writer)
        finally:
            writer.close()
            upstream_writer.close()

    async def _talk(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream_reader: asyncio.StreamReader,
        upstream_writer: asyncio.StreamWriter,
    ) -> None:
        """One command and its reply at a time, as redis-py speaks over a pooled connection."""
        while request := await reader.read(2**20):
            upstream_writer.write(request)
            reply = await upstream_reader.read(2**20)
            if self._marker and self._marker in request:
                self._marker = None
                self.lost += 1
                return
            writer.write(reply)
