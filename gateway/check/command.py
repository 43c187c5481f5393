"""Puts the check together: settings, then Redis, then who works, each as far as the one before it allows."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TextIO

from gateway.check import crew, server
from gateway.settings import GatewaySettings
from gateway.state.connect import ConnectError, connect
from gateway.state.errors import StateUnavailable
from gateway.state.queue import Queue
from gateway.state.server import Server
from gateway.telemetry.environment import SettingsError, load
from gateway.telemetry.findings import Finding, fail, ok, tell
from gateway.telemetry.given import given

_PATIENCE = 3.0


def check(environ: Mapping[str, str], output: TextIO) -> int:
    """Writes a line for each finding; the exit code: 1 if anything failed."""

    async def gather() -> list[Finding]:
        return [finding async for finding in findings(environ)]

    return tell(asyncio.run(gather()), output)


async def findings(environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    try:
        settings = load(GatewaySettings, environ)
        redis = connect(settings.redis_url, timeout=_PATIENCE)
    except SettingsError as error:
        yield fail("settings", str(error), "Correct it; nothing else was looked at")
        return
    except ConnectError as error:
        yield fail("settings", f"REDIS_URL: {error}", "Correct it; nothing else was looked at")
        return
    yield ok("settings", f"a gateway can use them: {given(GatewaySettings, environ)}")
    try:
        async for finding in server.findings(Server(redis), settings.redis_url):
            yield finding
        census = await Queue(redis).census()
        for finding in crew.workers(census):
            yield finding
        yield crew.queue(census, settings.queue_limit)
    except StateUnavailable as error:
        yield server.unreachable(settings.redis_url, error)
    finally:
        await redis.aclose()
    yield ok("key", "is known to workers alone: `python -m workers check` tries it")
