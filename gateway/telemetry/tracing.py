"""Traces, as the rest of the program sees them: spans that are started and ended by hand, in W3C Trace Context.

On where the standard variables say so (OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT name a
collector; OTEL_SDK_DISABLED and OTEL_TRACES_EXPORTER=none say no). Elsewhere nothing here imports OpenTelemetry, and it
need not be installed: it is the extra ``traces``.
"""

import re
from collections.abc import Mapping
from enum import Enum
from importlib.util import find_spec
from typing import Protocol

from gateway.telemetry.environment import SettingsError

Value = str | int | float | bool | list[str]

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


class SpanKind(Enum):
    SERVER = "server"
    CONSUMER = "consumer"
    CLIENT = "client"


class Span(Protocol):
    """What it is told never holds text of users or models, nor anything that opens a session."""

    @property
    def traceparent(self) -> str:
        """For those that this one is to be the parent of; empty where nobody traces."""

    @property
    def trace_id(self) -> str:
        """Empty where nobody traces."""

    def set(self, name: str, value: Value) -> None: ...

    def link(self, traceparent: str) -> None:
        """This one has to do with another trace. Its own trace, and what is none, make no link."""

    def end(self, error: str = "") -> None:
        """Once. ``error`` is the kind of what went wrong, of few possible ones; empty where nothing did."""


class Tracer(Protocol):
    @property
    def on(self) -> bool: ...

    def start(self, name: str, kind: SpanKind, parent: str, attributes: Mapping[str, Value], /) -> Span:
        """``parent`` is a ``traceparent``; without one, or with one that cannot be read, a trace begins."""

    def close(self, seconds: float) -> None:
        """Sends what has ended, and gives up after so long. Blocks; to be called when the event loop has ended."""


class NoSpan:
    """Hands on what it was given, so that a trace passes through a process that does not trace."""

    __slots__ = ("traceparent",)

    trace_id = ""

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent

    def set(self, name: str, value: Value) -> None: ...

    def link(self, traceparent: str) -> None: ...

    def end(self, error: str = "") -> None: ...


class NoTracer:
    on = False

    def start(self, _name: str, _kind: SpanKind, parent: str, _attributes: Mapping[str, Value]) -> Span:
        return NoSpan(parent)

    def close(self, seconds: float) -> None: ...


def valid(traceparent: str) -> str:
    """The same, or empty where it cannot be read."""
    return traceparent if _TRACEPARENT.fullmatch(traceparent) else ""


def open_tracer(service: str, environ: Mapping[str, str]) -> Tracer:
    """Raises SettingsError for a variable that asks for what is not there. ``service``: its name unless one is set."""
    if not _wanted(environ):
        return NoTracer()
    for variable in _PROTOCOLS:
        if environ.get(variable, "").strip() not in ("", "http/protobuf"):
            raise SettingsError(f"{variable}: Expected http/protobuf, the one protocol that is spoken here")
    for variable in _ENDPOINTS:
        endpoint = environ.get(variable, "").strip()
        if endpoint and not endpoint.startswith(("http://", "https://")):
            raise SettingsError(f"{variable}: Expected an address like http://host:4318")
    if find_spec("opentelemetry") is None:
        raise SettingsError("OTEL_EXPORTER_OTLP_ENDPOINT: Expected the extra `traces` to be installed, too")
    from gateway.telemetry.otel import OtelTracer  # noqa: PLC0415

    return OtelTracer(service, environ)


def _wanted(environ: Mapping[str, str]) -> bool:
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    if exporter not in ("", "otlp"):
        raise SettingsError("OTEL_TRACES_EXPORTER: Expected otlp or none")
    return any(environ.get(variable, "").strip() for variable in _ENDPOINTS)
