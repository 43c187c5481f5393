"""A line to a server that can lose a reply: the command was carried out, and its sender will never know."""

import asyncio
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
        conversation = _Conversation(self)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(conversation.ask(reader, upstream_writer))
                ways.create_task(conversation.answer(upstream_reader, writer))
        except* (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            upstream_writer.close()

    def marks(self, request: bytes) -> bool:
        """Whether the reply to this is the one to lose. It is lost once."""
        if not self._marker or self._marker not in request:
            return False
        self._marker = None
        return True


class _Conversation:
    """One connection. After a marked request the next reply breaks it, in both directions."""

    def __init__(self, line: LossyLine) -> None:
        self._line = line
        self._losing = False

    async def ask(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        while request := await reader.read(2**20):
            self._losing = self._losing or self._line.marks(request)
            upstream.write(request)
        raise ConnectionResetError

    async def answer(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while reply := await upstream.read(2**20):
            if self._losing:
                self._line.lost += 1
                break
            writer.write(reply)
        raise ConnectionResetError
