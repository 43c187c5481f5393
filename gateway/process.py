"""One replica's process, from settings to a drained end."""

import asyncio
import errno
import logging
import os
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import structlog
from hypercorn.config import Config

from gateway.app import Gateway, compose
from gateway.server import serve
from gateway.settings import GatewaySettings
from gateway.state.connect import ConnectError
from gateway.telemetry import exposition, garbage, logs
from gateway.telemetry.environment import SettingsError, load
from gateway.telemetry.tracing import open_tracer

BAD_SETTINGS = 2
LAST_SPANS_SECONDS = 2.0
CANNOT_LISTEN = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)

log = structlog.get_logger("gateway")


def main() -> int:
    """The exit code: 0 after a drain, 1 when it broke, 2 for settings that cannot be used."""
    try:
        settings = load(GatewaySettings, os.environ)
        logs.configure(settings.log_level, settings.log_format)
        tracer = open_tracer("gemini-gateway", os.environ)
        gateway = compose(settings, tracer=tracer)
        scraped = exposition.listen(settings.metrics_host, settings.metrics_port)
    except SettingsError as error:
        return _refuse(str(error))
    except ConnectError as error:
        return _refuse(f"REDIS_URL: {error}")
    garbage.settle()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            runner.run(_exposed(gateway, settings, scraped))
        except OSError as error:
            if error.errno not in CANNOT_LISTEN:
                raise
            return _refuse(f"HOST, PORT: cannot listen on {_bind(settings)}: {os.strerror(error.errno)}")
    tracer.close(LAST_SPANS_SECONDS)
    return 1 if gateway.lifetime.failed else 0


async def _exposed(gateway: Gateway, settings: GatewaySettings, scraped: socket.socket | None) -> None:
    """Metrics are answered until the last stream has ended."""
    async with exposition.served(scraped, gateway.metrics.vitals, gateway.queue_view.refresh):
        await run(gateway, settings)


async def run(gateway: Gateway, settings: GatewaySettings) -> None:
    """Serves until the drain is over, also where a caller does not take the last of his answer."""
    drain = gateway.drain
    with drain.on_signals():
        server = asyncio.ensure_future(serve(gateway.app, hypercorn_config(settings), drain.closing))
        overseer = asyncio.ensure_future(drain.run())
        try:
            await asyncio.wait({server, overseer}, return_when=asyncio.FIRST_COMPLETED)
            if server.done():
                await server
            else:
                log.warning("deadline_reached")
                # What is still open is dropped with the process; none of it has anything more to say.
                asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        finally:
            overseer.cancel()
            server.cancel()
    log.info("ended")


def hypercorn_config(settings: GatewaySettings) -> Config:
    config = Config()
    config.bind = [_bind(settings)]
    config.backlog = 1024
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.h11_max_incomplete_size = 16 * 1024
    # Also bounds how long a request's head may take to arrive.
    config.keep_alive_timeout = 20.0
    return config


def _bind(settings: GatewaySettings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.port}"


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where there is one, else asyncio's own."""
    if find_spec("uvloop") is None:
        return None
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    return new_event_loop


def _refuse(line: str) -> int:
    sys.stderr.write(f"{line}\n")
    return BAD_SETTINGS
