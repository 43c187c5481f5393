"""A stand-in for one gateway replica, as HAProxy sees it: an HTTP/1.1 server whose every fault a test can order.

Replicas have loopback addresses of their own and share a port, as containers do.
"""

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

FIRST_EVENT = b"id: a:1-1\ndata: first\n\n"

_STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Replica:
    """``/readyz`` follows ``ready``; ``/stream`` sends one event and stays open; ``/slow`` never answers.

    Anything else is answered at once with the replica's address. With ``conflict`` all is answered 409, and with
    ``dies`` the replica hangs up on what it has read.
    """

    address: str
    port: int = 0
    ready: bool = True
    dies: bool = False
    conflict: bool = False
    requests: list[Request] = field(default_factory=list)
    streams: list[asyncio.StreamWriter] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.address, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Stops listening: connections are refused from now on. Those that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def say(self, event: bytes) -> None:
        """Sends more bytes down every open stream."""
        for stream in self.streams:
            stream.write(_chunk(event))
            await stream.drain()

    def asked(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()
        for stream in self.streams:
            stream.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read(reader)
            if request is not None:
                self.requests.append(request)
                await self._answer(request, reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if request.path == "/readyz":
            _respond(writer, 200 if self.ready else 503, b"{}")
        elif self.dies:
            return
        elif self.conflict:
            _respond(writer, 409, b"{}")
        elif request.path == "/stream":
            writer.write(_STREAM_HEAD + _chunk(FIRST_EVENT))
            self.streams.append(writer)
            await self._until_the_caller_goes(reader)
        elif request.path == "/slow":
            await self._until_the_caller_goes(reader)
        else:
            _respond(writer, 200, self.address.encode())
        await writer.drain()

    async def _until_the_caller_goes(self, reader: asyncio.StreamReader) -> None:
        try:
            await reader.read()
        finally:
            self.hung_up.set()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _respond(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    head = f"HTTP/1.1 {status} Some reason\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """One request with its body; ``None`` if the connection ended before there was one."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers: dict[str, str] = {}
    for name, _, value in (line.partition(":") for line in lines):
        known = headers.get(name.lower())
        headers[name.lower()] = value.strip() if known is None else f"{known}, {value.strip()}"
    await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers)
