"""HTTP/1.1 by hand: whole control over which bytes leave when, and how a connection ends."""

import asyncio
import random
import socket
import struct
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

_HEAD_LIMIT = 64 * 1024
_TLS_HANDSHAKE = b"\x16"


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class Connection(asyncio.StreamReaderProtocol):
    """One client's connection; ``gone`` is set as soon as the client closes or resets it."""

    def __init__(self, serve: "Callable[[Connection], Coroutine[None, None, None]]") -> None:
        self.gone = asyncio.Event()
        self.broken = False
        self.busy = False
        self.number = 0
        self.task: asyncio.Task[None]
        self._serve = serve
        self._reader = asyncio.StreamReader(limit=_HEAD_LIMIT)
        self._writer: asyncio.StreamWriter
        super().__init__(self._reader, self._made, asyncio.get_running_loop())

    def _made(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.task = asyncio.get_running_loop().create_task(self._serve(self))

    def eof_received(self) -> bool:
        self.gone.set()
        super().eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        super().connection_lost(exc)

    async def request(self) -> Request | None:
        """The next request, or ``None`` when the client is done."""
        try:
            first = await self._reader.readexactly(1)
            if first == _TLS_HANDSHAKE:
                return None
            head = first + await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, OSError):
            return None
        start, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, target, _ = start.split(" ")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        url = urlsplit(target)
        body = await self._body(headers)
        return Request(method, unquote(url.path), dict(parse_qsl(url.query)), headers, body)

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return await self._reader.readexactly(int(headers.get("content-length", "0")))
        body = b""
        while size := int(await self._reader.readline(), 16):
            body += await self._reader.readexactly(size)
            await self._reader.readline()
        await self._reader.readline()
        return body

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """A whole answer of known length."""
        self._writer.write(_head(status, {**headers, "Content-Length": str(len(body))}) + body)
        await self._writer.drain()

    async def begin(self, headers: Mapping[str, str]) -> None:
        """The head of an answer with status 200 whose length is not known."""
        self._writer.write(_head(200, {**headers, "Transfer-Encoding": "chunked"}))
        await self._writer.drain()

    async def send(self, data: bytes, split: int, chance: random.Random) -> None:
        """Part of the body, in HTTP chunks and writes of ``split`` bytes (0: one; -1: of any size)."""
        start = 0
        while start < len(data):
            size = chance.randint(1, 40) if split < 0 else split or len(data)
            piece = data[start : start + size]
            self._writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await self._writer.drain()
            if split:
                await asyncio.sleep(0)
            start += size

    async def end(self) -> None:
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    def close(self) -> None:
        self.broken = True
        self._writer.close()

    def reset(self) -> None:
        """Ends the connection by an RST instead of a FIN."""
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.broken = True
        self._writer.transport.abort()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
