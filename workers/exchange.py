"""One HTTP exchange with Gemini: how long connecting may take, and that its connection is closed in the end.

The SDK is given a session and neither shows the response it reads nor takes a bound for connecting. So the session has
hooks, and a context variable tells them whose exchange they are looking at.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any
from urllib.request import getproxies

import aiohttp

_current: ContextVar["Exchange"] = ContextVar("_current")


class ConnectTimeout(Exception):
    """No connection was there in time."""


class Diverted(Exception):
    """A response begins, and whoever asked for it reads it itself. Not an error: it only leads out of the SDK."""


class Exchange:
    """What one call sends and receives. ``response`` is there once its head has come.

    With ``divert`` a response with status 200 is not handed to the SDK: its request ends in ``Diverted``.
    """

    def __init__(self, *, divert: bool = False) -> None:
        self.response: aiohttp.ClientResponse | None = None
        self._divert = divert
        self._connecting: asyncio.Timeout | None = None

    @contextmanager
    def attached(self) -> Iterator[None]:
        """What the session does for the running task, within the scope, is this exchange's."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def close(self) -> None:
        """Closes the connection at once, unless the answer was read to its end and the connection is others' now."""
        if self.response is not None:
            self.response.close()

    async def send(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType, connect_timeout: float
    ) -> aiohttp.ClientResponse:
        try:
            async with asyncio.timeout(connect_timeout) as self._connecting:
                self.response = await handler(request)
        except TimeoutError:
            raise ConnectTimeout from None
        if self._divert and self.response.status == HTTPStatus.OK:
            raise Diverted
        return self.response

    def connected(self) -> None:
        """From here on, waiting is bounded by whoever waits for the answer."""
        if self._connecting is not None:
            self._connecting.reschedule(None)


def open_session(connect_timeout: float) -> aiohttp.ClientSession:
    """A session whose every request belongs to an attached ``Exchange``; raises ``ConnectTimeout`` after the seconds.

    It has no limit on connections (the worker bounds its turns), no cookies (calls share nothing), and uses the
    environment's proxy, if it names one by now: looking for it takes two trips to a thread with each request.
    """

    async def middleware(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        return await _current.get().send(request, handler, connect_timeout)

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(_connected)
    tracing.on_connection_reuseconn.append(_connected)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(middleware,),
        trace_configs=[tracing],
        trust_env=bool(getproxies()),
    )


async def _connected(_session: aiohttp.ClientSession, _context: SimpleNamespace, _event: Any) -> None:
    _current.get().connected()
