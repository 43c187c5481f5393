"""Bytes over TCP, where a client library would hide what matters."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def connection(host: str, port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Closed when left, whatever the other side was about to say."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield reader, writer
    finally:
        writer.close()


def post(path: str, content: Any) -> bytes:
    """A request with a JSON body."""
    body = json.dumps(content).encode()
    head = (
        f"POST {path} HTTP/1.1",
        "Host: api",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join([*head, "", ""]).encode() + body


async def exchange(host: str, port: int, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer to a request that asks for ``Connection: close``; chunks are put together."""
    async with connection(host, port) as (reader, writer):
        writer.write(request)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    return head, _joined(body) if b"transfer-encoding: chunked" in head.lower() else body


def _joined(chunks: bytes) -> bytes:
    """RFC 9112, 7.1. Raises ``ValueError`` for a body without its last chunk."""
    body = b""
    while True:
        size, _, chunks = chunks.partition(b"\r\n")
        if int(size, 16) == 0:
            return body
        body, chunks = body + chunks[: int(size, 16)], chunks[int(size, 16) + 2 :]
