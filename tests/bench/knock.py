"""Asks a server on loopback one thing, with nothing but a socket."""

import asyncio


async def get(port: int, path: str = "/", method: str = "GET") -> int:
    """The status of the answer; 0 where nobody listens yet."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return 0
    try:
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n".encode())
        start = await reader.readline()
        return int(start.split(b" ")[1]) if start else 0
    except OSError:
        return 0
    finally:
        writer.close()
