"""When traces are made, and what is so where they are not."""

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway.telemetry import tracing
from gateway.telemetry.environment import SettingsError
from gateway.telemetry.tracing import NoTracer, SpanKind, open_tracer, valid
from tests.processes import ROOT
from tests.servers import free_port

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_SERVICE_NAME": "x", "OTEL_TRACES_SAMPLER": "always_on"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "true"},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_traced_unless_the_standard_variables_say_so(environ: dict[str, str]) -> None:
    assert not open_tracer("gemini-gateway", environ).on


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_TRACES_EXPORTER", "jaeger"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/v1/traces"),
    ],
)
def test_what_cannot_be_done_is_one_line_that_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{variable}: Expected [^\n]+$"):
        open_tracer("gemini-gateway", {**ENDPOINT, variable: value})


def test_where_the_sdk_is_not_installed_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"^OTEL_EXPORTER_OTLP_ENDPOINT: Expected the extra `traces` [^\n]+$"):
        open_tracer("gemini-gateway", ENDPOINT)


def test_a_trace_passes_through_a_process_that_does_not_trace() -> None:
    span = NoTracer().start("x", SpanKind.SERVER, PARENT, {})
    span.set("a", 1)
    span.link(PARENT)
    assert (span.traceparent, span.trace_id) == (PARENT, "")
    span.end("error")


@pytest.mark.parametrize("given", ["", "x", PARENT[:-1], PARENT + "0", PARENT.upper()])
def test_a_traceparent_that_cannot_be_read_is_none(given: str) -> None:
    assert valid(given) == ""
    assert valid(PARENT) == PARENT


def test_without_traces_and_metrics_their_libraries_are_not_even_imported() -> None:
    """redis-py imports some of OpenTelemetry by itself, where it is installed."""
    foreign = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "aiohttp", "google.protobuf", "requests")
    code = (
        "import sys, gateway.process, workers.process\n"
        "from gateway.telemetry.tracing import open_tracer\n"
        "open_tracer('x', {})\n"
        f"print(*(name for name in sys.modules if name.startswith({foreign!r})))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


@pytest.fixture
def as_before() -> Iterator[None]:
    sdk = logging.getLogger("opentelemetry")
    handlers, propagate = sdk.handlers, sdk.propagate
    yield
    sdk.handlers, sdk.propagate = handlers, propagate


def test_a_span_of_the_sdk_goes_on_with_its_parents_trace(as_before: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")  # nothing is sent
    tracer = open_tracer("gemini-worker", ENDPOINT)
    child = tracer.start("child", SpanKind.CONSUMER, PARENT, {"a": 1})
    assert child.trace_id == PARENT.split("-")[1]
    assert child.traceparent != PARENT
    assert valid(child.traceparent)
    unsampled = tracer.start("child", SpanKind.CONSUMER, PARENT[:-2] + "00", {})
    assert unsampled.traceparent.endswith("-00")
    alone = tracer.start("alone", SpanKind.SERVER, "", {})
    assert alone.trace_id != child.trace_id
    for span in (child, unsampled, alone):
        span.link("nonsense")
        span.end()
