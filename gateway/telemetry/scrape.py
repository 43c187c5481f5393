"""The HTTP side of the exposition. Content type, format and escaping are negotiated by the Prometheus library."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

_LEAVE_SECONDS = 0.5
_IDLE_SECONDS = 75.0
"""Longer than scrapes are apart, so that they need no new connection each."""


@asynccontextmanager
async def scraped(
    listening: socket.socket, registry: CollectorRegistry, refresh: Callable[[], Awaitable[None]]
) -> AsyncIterator[None]:
    """Answers ``GET /metrics``, and 404 to all else, within the scope."""

    async def scrape(request: web.Request) -> web.Response:
        await refresh()
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        response = web.Response(body=encode(registry), headers={"Content-Type": content_type})
        response.enable_compression()
        return response

    app = web.Application()
    app.router.add_get("/metrics", scrape)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_LEAVE_SECONDS, keepalive_timeout=_IDLE_SECONDS)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield
    finally:
        await runner.cleanup()
