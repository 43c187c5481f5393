"""The connection pool, with a queue in front that keeps its order."""

import asyncio
from typing import Any

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection, Connection
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.state.pieces import in_pieces


class FairPool(BlockingConnectionPool):
    """Gives free connections to those who wait in the order in which they came.

    redis-py's own pool lets a newcomer take the connection that a waiter was just woken for, and sends that waiter to
    the end: on a busy gateway some wait until their patience ends, with connections to spare all the while.
    """

    def __init__(self, *, connection_class: type[AbstractConnection] = Connection, **options: Any) -> None:
        super().__init__(connection_class=in_pieces(connection_class), **options)
        self._turnstile = asyncio.Semaphore(self.max_connections)
        self._inside: set[AbstractConnection] = set()

    async def get_connection(self, *_: Any, **__: Any) -> AbstractConnection:
        """The arguments are what redis-py passed in former versions, and still warns of."""
        try:
            async with asyncio.timeout(self.timeout):
                await self._turnstile.acquire()
        except TimeoutError as error:
            raise RedisConnectionError("No connection available.") from error
        try:
            connection: AbstractConnection = await super().get_connection()  # type: ignore[no-untyped-call]
        except BaseException:
            self._turnstile.release()
            raise
        self._inside.add(connection)
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        try:
            await super().release(connection)
        finally:
            # One that failed on its way in is released, too, by the pool itself; its place is given back above.
            if connection in self._inside:
                self._inside.remove(connection)
                self._turnstile.release()
