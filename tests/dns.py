"""A name server for loopback: just enough of RFC 1035 for HAProxy to find replicas as it does with Docker's.

async with name_server() as names:
    names.addresses["gateway"] = ["127.0.0.11", "127.0.0.12"]     # may change at any time
    ... f"127.0.0.1:{names.port}"
"""

import asyncio
import ipaddress
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

_HEADER = struct.Struct("!6H")
_QUESTION = struct.Struct("!2H")
_RECORD = struct.Struct("!3HIH")
_A, _IN = 1, 1
_RESPONSE, _NO_SUCH_NAME = 0x8180, 0x8183
_QUESTION_NAME = 0xC00C  # a pointer to the name right after the header (RFC 1035, 4.1.4)


class NameServer(asyncio.DatagramProtocol):
    """Answers A queries from ``addresses``; a name without any does not exist. Other types have no records."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port = int(transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(self._answer(data), addr)

    def _answer(self, query: bytes) -> bytes:
        name, end = _name(query, _HEADER.size)
        kind, _ = _QUESTION.unpack_from(query, end)
        question = query[_HEADER.size : end + _QUESTION.size]
        found = self.addresses.get(name, [])
        packed = [ipaddress.IPv4Address(address).packed for address in found] if kind == _A else []
        flags = _RESPONSE if found else _NO_SUCH_NAME
        header = _HEADER.pack(_HEADER.unpack_from(query)[0], flags, 1, len(packed), 0, 0)
        return header + question + b"".join(_RECORD.pack(_QUESTION_NAME, _A, _IN, 1, 4) + each for each in packed)


def _name(message: bytes, at: int) -> tuple[str, int]:
    """The labels from ``at`` on, joined by dots, and where what follows them begins."""
    labels: list[str] = []
    while length := message[at]:
        labels.append(message[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels), at + 1


@asynccontextmanager
async def name_server() -> AsyncIterator[NameServer]:
    loop = asyncio.get_running_loop()
    transport, names = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    try:
        yield names
    finally:
        transport.close()
