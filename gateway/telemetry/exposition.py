"""``GET /metrics`` on a port of its own, for Prometheus: never through the public port, so never through the balancer.

It is answered by the process's own event loop for as long as that runs, a drain included.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from gateway.telemetry.environment import SettingsError
from gateway.telemetry.vitals import Vitals

_BACKLOG = 16

log = structlog.get_logger(__name__)


async def _nothing() -> None:
    """What has to be looked up before a scrape, where nothing has."""


def listen(host: str, port: int) -> socket.socket | None:
    """A socket that listens; None for port 0, which is none. Raises SettingsError where it cannot be had."""
    if not port:
        return None
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such address"
        raise SettingsError(f"METRICS_HOST: cannot listen on {host[:100]}: {reason}") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise SettingsError(f"METRICS_HOST, METRICS_PORT: cannot listen on {host}:{port}: {reason}") from None
    listening.setblocking(False)
    return listening


@asynccontextmanager
async def served(
    listening: socket.socket | None, vitals: Vitals, refresh: Callable[[], Awaitable[None]] = _nothing
) -> AsyncIterator[None]:
    """Answers within the scope; nothing to do without a socket. ``refresh`` is awaited before each scrape."""
    if listening is None:
        yield
        return
    # A server that most processes do without, and that takes a while to import.
    from gateway.telemetry.scrape import scraped  # noqa: PLC0415

    host, port = listening.getsockname()[:2]
    async with scraped(listening, vitals.registry, refresh), asyncio.TaskGroup() as tasks:
        log.info("metrics_exposed", host=host, port=port)
        watch = tasks.create_task(vitals.watch_loop())
        yield
        watch.cancel()
