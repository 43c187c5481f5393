"""Everything that a gateway counts, by its Prometheus name."""

from prometheus_client import Counter, Histogram

from gateway.problems import Problem, TooMany
from gateway.streaming.meter import UNSENT, StreamMeter
from gateway.telemetry import figures
from gateway.telemetry.vitals import Vitals

_DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_FIRST_CHUNKS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0)
_STREAM = "/stream"

_TURN_RATES = ("turns_a_minute", "turns_a_day", "tokens")
_TURN_REFUSALS = {"queue_full": "queue_full", "no_worker": "no_worker", "turn_running": "running"}


class GatewayMetrics:
    """Made once, by the composition root. Parts are given what they count with."""

    def __init__(self) -> None:
        self.vitals = Vitals("gateway")
        registry = self.vitals.registry
        self._requests = Counter(
            "gateway_http_requests_total",
            "Requests, by the code of their answer (0: none was given)",
            ["method", "route", "code"],
            registry=registry,
        )
        self._durations = Histogram(
            "gateway_http_request_duration_seconds",
            "From a request's head to the end of its answer, /stream left out",
            ["route"],
            buckets=_DURATIONS,
            registry=registry,
        )
        self._errors = Counter(
            "gateway_errors_total", "Error answers, by the code in their body", ["code"], registry=registry
        )
        self._rate_refusals = Counter(
            "gateway_rate_limit_refusals_total", "Requests refused by a rate", ["policy"], registry=registry
        )
        begun = Counter("gateway_turns_begun_total", "Turns that began here", ["kind"], registry=registry)
        self.chat_turns, self.text_turns = begun.labels("chat"), begun.labels("text")
        self._turns_refused = Counter(
            "gateway_turns_refused_total", "Turns that could not begin", ["reason"], registry=registry
        )
        images = Counter("gateway_images_total", "Images sent to /upload", ["outcome"], registry=registry)
        self._images_accepted, self._images_refused = images.labels("accepted"), images.labels("refused")
        self._image_bytes = Counter(
            "gateway_image_bytes_total", "Bytes of accepted images, as they came", registry=registry
        )
        self.streams = self._stream_meter()

    def ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """Implements ``RequestMeter``."""
        self._requests.labels(method, route, str(status)).inc()
        if route != _STREAM:
            self._durations.labels(route).observe(seconds)

    def refused(self, problem: Problem) -> None:
        """A request is answered with this."""
        self._errors.labels(problem.code).inc()
        reason = _TURN_REFUSALS.get(problem.code)
        if isinstance(problem, TooMany):
            self._rate_refusals.labels(problem.policy).inc()
            reason = "rate" if problem.policy in _TURN_RATES else reason
        if reason:
            self._turns_refused.labels(reason).inc()

    def image_accepted(self, size: int) -> None:
        self._images_accepted.inc()
        self._image_bytes.inc(size)

    def image_refused(self) -> None:
        self._images_refused.inc()

    def _stream_meter(self) -> StreamMeter:
        registry = self.vitals.registry
        first = Histogram(
            "gateway_stream_first_chunk_seconds",
            "From a stream's opening to its first text, resumed streams left out",
            buckets=_FIRST_CHUNKS,
            registry=registry,
        )
        meter = StreamMeter(first.observe)
        counter, gauge = figures.counter, figures.gauge
        gauge(registry, "gateway_streams_open", "Event streams that are open", lambda: {"": meter.open})
        counter(
            registry,
            "gateway_stream_events_total",
            "Events sent to readers, by kind",
            lambda: {kind: count for kind, count in meter.events.items() if kind != UNSENT},
            label="kind",
        )
        counter(
            registry,
            "gateway_stream_sent_bytes_total",
            "Bytes of events sent to readers",
            lambda: {"": meter.sent_bytes},
        )
        counter(
            registry,
            "gateway_stream_resumes_total",
            "Streams whose readers came with a Last-Event-ID",
            lambda: {"": meter.resumes},
        )
        counter(
            registry,
            "gateway_stream_fallbacks_total",
            "Times that a stream went back to reading its log: a message was missed, its reader is slow, or the "
            "subscription was renewed",
            lambda: meter.fallbacks,
            label="reason",
        )
        counter(
            registry,
            "gateway_streams_dropped_total",
            "Streams ended before their turn's end, by this gateway",
            lambda: meter.dropped,
            label="reason",
        )
        counter(
            registry,
            "gateway_subscription_reconnects_total",
            "Times that the subscription to turn logs was lost and made anew",
            lambda: {"": meter.reconnects},
        )
        return meter
