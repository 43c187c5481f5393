"""The network between a gateway and its server, to be broken where nobody is told."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self


class NetworkPath:
    """A TCP proxy on loopback. A context manager: leaving it cuts every connection."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener: asyncio.Server | None = None
        self._carrying: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()

    @property
    def url(self) -> str:
        assert self._listener
        return f"redis://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}/0"

    def swallow(self) -> None:
        """From now on the connections that stand carry nothing back, and stay open. New ones work."""
        self._open.clear()
        self._open = asyncio.Event()
        self._open.set()

    async def __aenter__(self) -> Self:
        self._open.set()
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._listener
        self._listener.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)
        passing = self._open
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        try:
            with suppress(ConnectionError):
                async with asyncio.TaskGroup() as tasks:
                    back = tasks.create_task(_carry(server_reader, writer, passing))
                    await _carry(reader, server_writer, None)
                    back.cancel()
        finally:
            writer.close()
            server_writer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passing: asyncio.Event | None) -> None:
    while data := await reader.read(2**16):
        if passing is not None:
            await passing.wait()
        writer.write(data)
