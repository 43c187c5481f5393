"""Refuses what the server would take but the gateway does not speak: HTTP/2, WebSockets, targets that are no path.

HTTP/2 is the balancer's to speak.
"""

from collections.abc import Awaitable
from http import HTTPStatus

from gateway.guards.body import ASGIApp, Receive, Scope, Send


class ProtocolGuard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "websocket":
            return send({"type": "websocket.close", "code": 1008})
        if scope["type"] == "http" and scope["http_version"] not in ("1.0", "1.1"):
            return _refuse(send, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
        if scope["type"] == "http" and not scope["path"].startswith("/"):
            return _refuse(send, HTTPStatus.BAD_REQUEST)
        return self._app(scope, receive, send)


async def _refuse(send: Send, status: HTTPStatus) -> None:
    headers = [(b"content-length", b"0"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
