"""Traces by way of the OpenTelemetry SDK: sampled, batched and sent as its standard variables say, by a thread."""

import logging
import threading
from collections.abc import Mapping
from time import monotonic

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as RecordedSpan
from opentelemetry.trace import SpanKind as RecordedKind
from opentelemetry.trace import Status, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.telemetry.environment import SettingsError
from gateway.telemetry.tracing import Span, SpanKind, Value
from gateway.telemetry.vitals import product_version

_KINDS = {
    SpanKind.SERVER: RecordedKind.SERVER,
    SpanKind.CONSUMER: RecordedKind.CONSUMER,
    SpanKind.CLIENT: RecordedKind.CLIENT,
}
_COMPLAINT_SECONDS = 60.0

_propagator = TraceContextTextMapPropagator()

log = structlog.get_logger(__name__)


class OtelTracer:
    """Implements ``tracing.Tracer``."""

    on = True

    def __init__(self, service: str, environ: Mapping[str, str]) -> None:
        _quieten()
        try:
            exporter = OTLPSpanExporter()
            processor = BatchSpanProcessor(exporter)
        except (ValueError, OSError) as error:
            raise SettingsError(f"OTEL_…: {' '.join(str(error).split())}") from None
        self._provider = TracerProvider(resource=_resource(service, environ), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("gemini-gateway", product_version())

    def start(self, name: str, kind: SpanKind, parent: str, attributes: Mapping[str, Value]) -> Span:
        context = _context(parent)
        return OtelSpan(self._tracer.start_span(name, context, _KINDS[kind], attributes))

    def close(self, seconds: float) -> None:
        # A thread that is left behind does not hold the process's end up.
        ending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        ending.start()
        ending.join(seconds)
        if ending.is_alive():
            log.warning("spans_not_sent", reason="the collector takes too long")


class OtelSpan:
    """Implements ``tracing.Span``."""

    __slots__ = ("_span",)

    def __init__(self, span: RecordedSpan) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    @property
    def trace_id(self) -> str:
        return f"{self._span.get_span_context().trace_id:032x}"

    def set(self, name: str, value: Value) -> None:
        self._span.set_attribute(name, value)

    def link(self, traceparent: str) -> None:
        other = get_current_span(_context(traceparent)).get_span_context()
        if other.is_valid and other.trace_id != self._span.get_span_context().trace_id:
            self._span.add_link(other)

    def end(self, error: str = "") -> None:
        if error:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


def _context(traceparent: str) -> Context:
    return _propagator.extract({"traceparent": traceparent}, Context())


def _resource(service: str, environ: Mapping[str, str]) -> Resource:
    """The standard variables come before what is said here."""
    named = environ.get("OTEL_SERVICE_NAME") or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return Resource.create({SERVICE_VERSION: product_version()} | ({} if named else {SERVICE_NAME: service}))


class _Seldom(logging.Handler):
    """Tells what the SDK has to complain of once a minute, instead of at each try."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told_at = -_COMPLAINT_SECONDS
        self._untold = 0

    def emit(self, record: logging.LogRecord) -> None:
        now = monotonic()
        if now - self._told_at < _COMPLAINT_SECONDS:
            self._untold += 1
            return
        log.warning("tracing_trouble", reason=record.getMessage()[:300], untold=self._untold)
        self._told_at, self._untold = now, 0


def _quieten() -> None:
    sdk = logging.getLogger("opentelemetry")
    sdk.propagate = False
    sdk.handlers = [_Seldom()]
