"""One log line per request, and the id that ties it to everything else that is logged meanwhile.

The id goes out as ``X-Request-Id``. One that comes in is kept where proxies are trusted, so that the balancer's log and
ours speak of the same request.
"""

import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

import structlog

from gateway.telemetry.routes import method_name

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
PROBES = ("/", "/readyz")
"""What health checks ask for, every second of the day."""

log = structlog.get_logger(__name__)


class RequestMeter(Protocol):
    def ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """``status`` is 0 for a request that got no answer."""


class AccessLog:
    """ASGI middleware. Logs no query, no header and no body."""

    def __init__(self, app: ASGIApp, route_of: Callable[[str], str], meter: RequestMeter, *, trust_ids: bool) -> None:
        """``route_of`` names the route that a path belongs to."""
        self._app = app
        self._route_of = route_of
        self._meter = meter
        self._trust_ids = trust_ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = self._request_id(scope)
        status = 0
        turn = ""

        async def send_with_id(message: Message) -> None:
            nonlocal status, turn
            if message["type"] == "http.response.start":
                status = int(message["status"])
                turn = turn_of(message)
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        bound = structlog.contextvars.bind_contextvars(request_id=request_id.decode())
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            self._ended(scope, status, turn, time.perf_counter() - began)
            structlog.contextvars.reset_contextvars(**bound)

    def _ended(self, scope: Scope, status: int, turn: str, took: float) -> None:
        method, path = scope["method"], scope["path"]
        route = self._route_of(path)
        self._meter.ended(method_name(method), route, status, took)
        tell = log.debug if path in PROBES and status in (200, 503) else log.info
        about = {"turn": turn} if turn else {}
        tell("request", ms=round(took * 1000), method=method, path=path, route=route, status=status or None, **about)

    def _request_id(self, scope: Scope) -> bytes:
        given: bytes = dict(scope["headers"]).get(b"x-request-id", b"") if self._trust_ids else b""
        return given if _ID.fullmatch(given) else secrets.token_hex(8).encode()


def turn_of(message: Message) -> str:
    """The turn that an answer is about, where its head says so."""
    return next((str(value, "latin-1") for name, value in message["headers"] if name.lower() == b"x-turn-id"), "")
