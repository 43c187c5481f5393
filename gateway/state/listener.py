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
from typing import Any, Never, Protocol, Self

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import InvalidResponse, RedisError, ResponseError

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
        self._redis = redis
        self._connection = connection
        self._echo = f"{keys.PREFIX}:echo:{secrets.token_hex(8)}"
        self._echo_interval = echo_interval
        self._patience = patience
        self._ears: _Ears | None = None

    @property
    def proven(self) -> bool:
        """A message to oneself came back."""
        return self._ears is not None and self._ears.proven

    @classmethod
    @asynccontextmanager
    async def open(cls, redis: Redis, *, echo_interval: float = 1.0, patience: float = 3.0) -> AsyncIterator[Self]:
        """Publishes to itself every ``echo_interval`` seconds, and is lost when it heard nothing for ``patience``."""
        pool = redis.connection_pool
        connection = pool.connection_class(**pool.connection_kwargs)
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
        """Hears until the connection is lost. Call it first: what is confirmed before would not be heard."""
        ears = _Ears(sink, self._echo.encode())
        self._ears = ears
        transport = getattr(self._connection._writer, "transport", None)  # noqa: SLF001
        if transport is not None:
            # The handshake is redis-py's business (TLS, users, names); then its layers are only in the way.
            transport.set_protocol(ears)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ears.until_lost() if transport is not None else self._read_for(ears))
            tasks.create_task(self._prove(ears))
        raise AssertionError("neither task returns")

    async def _read_for(self, ears: "_Ears") -> Never:
        """For connections without a socket, as test doubles have them."""
        with unavailable_is_told():
            while True:
                with cancellation_is_heeded():
                    ears.reply_received(await self._connection.read_response(timeout=math.inf))

    async def _prove(self, ears: "_Ears") -> Never:
        await self.subscribe([self._echo])
        clock = asyncio.get_running_loop().time
        heard_at = clock()
        while True:
            ears.heard = False
            try:
                with unavailable_is_told():
                    await self._redis.spublish(self._echo, b"")
            except StateUnavailable:
                pass  # says nothing about this connection; silence will
            await asyncio.sleep(self._echo_interval)
            now = clock()
            if ears.heard:
                heard_at = now
            elif now - heard_at >= self._patience:
                raise StateUnavailable("the subscription is silent")

    async def _send(self, command: str, channels: Sequence[str]) -> None:
        with unavailable_is_told():
            for start in range(0, len(channels), _AT_ONCE):
                await self._connection.send_command(command, *channels[start : start + _AT_ONCE])


class _Ears(asyncio.Protocol):
    """The receiving end: from the socket's bytes to the sink without a task in between."""

    def __init__(self, sink: Sink, echo: bytes) -> None:
        self.heard = False
        self.proven = False
        self._message = sink.message
        self._confirmed = sink.confirmed
        self._echo = echo
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=ResponseError)
        self._lost: asyncio.Future[Never] = asyncio.get_running_loop().create_future()

    async def until_lost(self) -> Never:
        with unavailable_is_told():
            await self._lost
        raise AssertionError("it has no result")

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while reply := self._reader.gets():
                self.reply_received(reply)
        except RedisError as error:
            self.connection_lost(error)

    def reply_received(self, reply: Any) -> None:
        """Raises what Redis answered instead, if a subscription was refused."""
        if isinstance(reply, ResponseError):
            raise reply
        self.heard = True
        kind, channel, data = reply
        if channel == self._echo:
            self.proven = kind == b"smessage" or self.proven
        elif kind == b"smessage":
            self._message(channel, data)
        elif kind == b"ssubscribe":
            self._confirmed(channel)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._lost.done():
            self._lost.set_exception(exc or ConnectionResetError("closed by the server"))
