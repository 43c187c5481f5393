"""The connection on which a process hears what is published about the turns it follows (sharded channels).

Its own, outside the pool: it never waits for a reply, only for the next message. That it still hears is proven by
publishing to itself over the ordinary connections, so a half-open connection, a frozen server and a subscription left
behind at a server that was replaced are all found, and within the same time.
"""

import asyncio
import math
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Never, Protocol, Self

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

from gateway.state import keys
from gateway.state.cancellation import cancellation_is_heeded
from gateway.state.errors import StateUnavailable, unavailable_is_told

_AT_ONCE = 512
"""Channels in one command, so that a long list does not hold up the server's other clients."""


class Sink(Protocol):
    """Who listens. Called from the reading task, in the order of arrival; must not block."""

    def message(self, channel: bytes, data: bytes) -> None: ...

    def confirmed(self, channel: bytes) -> None:
        """Redis confirmed one subscription: what is published from now on will be heard."""


class Listener:
    """One such connection. Every call raises StateUnavailable once it is lost; it is not used again then."""

    def __init__(self, redis: Redis, connection: AbstractConnection, echo_interval: float, patience: float) -> None:
        self.proven = False
        """A message to oneself came back."""
        self._redis = redis
        self._connection = connection
        self._echo = f"{keys.PREFIX}:echo:{secrets.token_hex(8)}"
        self._heard = False
        self._echo_interval = echo_interval
        self._patience = patience

    @classmethod
    @asynccontextmanager
    async def open(cls, redis: Redis, *, echo_interval: float = 1.0, patience: float = 3.0) -> AsyncIterator[Self]:
        """Publishes to itself every ``echo_interval`` seconds, and is lost when it heard nothing for ``patience``."""
        pool = redis.connection_pool
        # RESP2 is all it takes, and redis-py does not log each RESP2 message on its way.
        connection = pool.connection_class(**{**pool.connection_kwargs, "protocol": 2})
        try:
            with unavailable_is_told():
                await connection.connect()  # type: ignore[no-untyped-call]
            yield cls(redis, connection, echo_interval, patience)
        finally:
            await connection.disconnect(nowait=True)

    async def subscribe(self, channels: Sequence[str]) -> None:
        """Asks for channels; each is confirmed to the sink, once for every time it was asked for."""
        await self._send("SSUBSCRIBE", channels)

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        await self._send("SUNSUBSCRIBE", channels)

    async def run(self, sink: Sink) -> Never:
        """Hears until the connection is lost."""
        await self.subscribe([self._echo])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hear(sink))
            tasks.create_task(self._prove())
        raise AssertionError("neither task returns")

    async def _hear(self, sink: Sink) -> Never:
        read = self._connection.read_response
        echo = self._echo.encode()
        with unavailable_is_told():
            while True:
                with cancellation_is_heeded():
                    kind, channel, data = await read(timeout=math.inf, disconnect_on_error=False)
                if kind == b"smessage":
                    self._heard = True
                    if channel != echo:
                        sink.message(channel, data)
                    else:
                        self.proven = True
                elif kind == b"ssubscribe" and channel != echo:
                    sink.confirmed(channel)

    async def _prove(self) -> Never:
        clock = asyncio.get_running_loop().time
        heard_at = clock()
        while True:
            self._heard = False
            try:
                with unavailable_is_told(), cancellation_is_heeded():
                    await self._redis.spublish(self._echo, b"")
            except StateUnavailable:
                pass  # says nothing about this connection; silence will
            await asyncio.sleep(self._echo_interval)
            now = clock()
            if self._heard:
                heard_at = now
            elif now - heard_at >= self._patience:
                raise StateUnavailable("the subscription is silent")

    async def _send(self, command: str, channels: Sequence[str]) -> None:
        with unavailable_is_told(), cancellation_is_heeded():
            for start in range(0, len(channels), _AT_ONCE):
                await self._connection.send_command(command, *channels[start : start + _AT_ONCE])
