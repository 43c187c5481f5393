"""Connections that send megabytes in pieces: in one go, they would hold the event loop up for milliseconds."""

import asyncio
from collections.abc import Iterable, Iterator

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

PIECE = 64 * 1024


class _InPieces(AbstractConnection):
    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        """Others come in between two pieces; on this connection nobody does. ``socket_timeout`` bounds all of it.

        Raises redis-py's ConnectionError where the connection was lost meanwhile: event loops have other words for it,
        Python 3.12's a TypeError.
        """
        if self._writer is not None and self._writer.transport.is_closing():
            await self.disconnect(nowait=True)
            raise RedisConnectionError("The connection was lost.")
        parts = _parts(command)
        if sum(map(len, parts)) <= PIECE:
            await super().send_packed_command(parts, check_health)
            return
        try:
            async with asyncio.timeout(self.socket_timeout):
                pieces = _cut(parts)  # One by one: each is a copy.
                await super().send_packed_command(next(pieces), check_health)
                for piece in pieces:
                    await asyncio.sleep(0)
                    if not self.is_connected:  # The rest of a command must not be another connection's first word.
                        raise RedisConnectionError("The connection was lost.")
                    await super().send_packed_command(piece, check_health=False)
        except TimeoutError:
            await self.disconnect(nowait=True)
            raise RedisTimeoutError("Timeout writing to socket") from None
        except BaseException:
            await self.disconnect(nowait=True)
            raise


class ConnectionInPieces(_InPieces, Connection):
    pass


class SSLConnectionInPieces(_InPieces, SSLConnection):
    pass


class UnixConnectionInPieces(_InPieces, UnixDomainSocketConnection):
    pass


def in_pieces(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """The kind of connection that reaches a server in the same way, and sends in pieces."""
    if issubclass(kind, UnixDomainSocketConnection):
        return UnixConnectionInPieces
    return SSLConnectionInPieces if issubclass(kind, SSLConnection) else ConnectionInPieces


def _parts(command: bytes | str | Iterable[bytes]) -> list[bytes]:
    match command:
        case str():
            return [command.encode()]
        case bytes():
            return [command]
    return list(command)


def _cut(parts: list[bytes]) -> Iterator[bytes]:
    for part in parts:
        whole = memoryview(part)
        for start in range(0, len(whole), PIECE):
            yield bytes(whole[start : start + PIECE])
