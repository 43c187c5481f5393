"""One server span for each request, by OpenTelemetry's semantic conventions for HTTP.

The caller's trace goes on in it, and what is asked of others on behalf of the request goes on in the span's: to
everything below, the request's ``traceparent`` is the span's own. Queries, headers and bodies are not told.
"""

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from gateway.telemetry.access import PROBES, ASGIApp, Message, Receive, Scope, Send, turn_of
from gateway.telemetry.routes import OTHER, method_name
from gateway.telemetry.tracing import Span, SpanKind, Tracer, Value, valid

SPAN = "gateway.span"
"""Where the scope of a request that is traced has its span."""


_PATH_CHARS = 256


class Traced:
    """ASGI middleware. What probes ask for is not traced."""

    def __init__(self, app: ASGIApp, tracer: Tracer, route_of: Callable[[str], str]) -> None:
        self._app = app
        self._tracer = tracer
        self._route_of = route_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        span = self._begin(scope)
        status = 0

        async def send_seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                span.set("http.response.status_code", status)
                if turn := turn_of(message):
                    span.set("gateway.turn.id", turn)
            await send(message)

        error = ""
        try:
            with structlog.contextvars.bound_contextvars(trace_id=span.trace_id):
                await self._app({**scope, SPAN: span, "headers": _spoken_of(scope, span)}, receive, send_seen)
        except Exception as broken:
            error = type(broken).__name__
            raise
        finally:
            span.end(error or (str(status) if status >= 500 else ""))

    def _begin(self, scope: Scope) -> Span:
        method, route = method_name(scope["method"]), self._route_of(scope["path"])
        attributes: dict[str, Value] = {
            "http.request.method": "_OTHER" if method == OTHER else method,
            "url.path": scope["path"][:_PATH_CHARS],
            "url.scheme": scope.get("scheme", "http"),
            "network.protocol.version": scope.get("http_version", "1.1"),
        }
        name = "HTTP" if method == OTHER else method
        if route != OTHER:
            attributes["http.route"] = route
            name += f" {route}"
        given = dict(scope["headers"]).get(b"traceparent", b"")
        return self._tracer.start(name, SpanKind.SERVER, valid(given.decode("latin-1")), attributes)


def link(scope: Mapping[str, Any], traceparent: str) -> None:
    """The request has to do with another trace, too. Nothing to do where the request is not traced."""
    span: Span | None = scope.get(SPAN)
    if span is not None:
        span.link(traceparent)


def _spoken_of(scope: Scope, span: Span) -> list[tuple[bytes, bytes]]:
    others = [(name, value) for name, value in scope["headers"] if name != b"traceparent"]
    return [*others, (b"traceparent", span.traceparent.encode())]
