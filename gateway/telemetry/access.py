"""One log line per request, and the id that ties it to everything else that is logged meanwhile.

The id goes out as ``X-Request-Id``. One that comes in is kept where proxies are trusted, so that the balancer's log and
ours speak of the same request.
"""

import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_PROBES = ("/", "/readyz")

log = structlog.get_logger(__name__)


class AccessLog:
    """ASGI middleware. Logs no query, no header and no body."""

    def __init__(self, app: ASGIApp, *, trust_ids: bool) -> None:
        self._app = app
        self._trust_ids = trust_ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = self._request_id(scope)
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id.decode()):
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                tell = log.debug if scope["path"] in _PROBES and status in (200, 503) else log.info
                took = round((time.perf_counter() - began) * 1000)
                tell("request", method=scope["method"], path=scope["path"], status=status, ms=took)

    def _request_id(self, scope: Scope) -> bytes:
        given: bytes = dict(scope["headers"]).get(b"x-request-id", b"") if self._trust_ids else b""
        return given if _ID.fullmatch(given) else secrets.token_hex(8).encode()
