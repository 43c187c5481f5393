"""Everything that a worker counts, by its Prometheus name."""

from collections.abc import Callable

from prometheus_client import Counter, Histogram

from gateway.state.records import Usage
from gateway.telemetry import figures
from gateway.telemetry.vitals import Vitals

_CLAIMS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_FIRST_CHUNKS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0)
_CALLS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_COMMITS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_ENTRIES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

ENDS = ("done", "stopped", "failed", "lost", "put_back")
CAUSES = ("first", "takeover", "retry")


class WorkerMetrics:
    """Made once, by the composition root. Parts are given what they count with."""

    def __init__(self, *, model: str = "", offline: bool = False, capacity: int = 0) -> None:
        self.vitals = Vitals("worker", model=model, offline=str(offline).lower())
        self.running: Callable[[], int] = lambda: 0
        """Tells how many turns run; the pool knows."""
        self.chunks = 0
        """Chunks read from the upstream."""
        self.takeovers = 0
        self._count_turns(capacity)
        self._count_calls()
        self._count_commits()

    def _count_turns(self, capacity: int) -> None:
        registry = self.vitals.registry
        figures.gauge(registry, "worker_turns_running", "Turns that run here", lambda: {"": self.running()})
        figures.gauge(registry, "worker_turn_capacity", "Turns that may run here at once", lambda: {"": capacity})
        figures.counter(
            registry,
            "worker_takeovers_total",
            "Turns that this worker's sweep took from one that stood still",
            lambda: {"": self.takeovers},
        )
        self._turns = Counter(
            "worker_turns_total",
            "Turns that came to an end here, or went on elsewhere (lost, put_back)",
            ["end"],
            registry=registry,
        )
        self._failures = Counter(
            "worker_failures_total", "Turns that failed, by error code", ["code"], registry=registry
        )
        self._attempts = Counter(
            "worker_attempts_total",
            "Attempts that began here: a turn's first, one after another worker's, one after a broken answer",
            ["cause"],
            registry=registry,
        )
        for end in ENDS:
            self._turns.labels(end)
        for cause in CAUSES:
            self._attempts.labels(cause)
        self._claim_latency = Histogram(
            "worker_claim_latency_seconds",
            "From a turn's begin to its first claim, by the clocks of Redis and of this worker",
            buckets=_CLAIMS,
            registry=registry,
        )

    def _count_calls(self) -> None:
        registry = self.vitals.registry
        figures.counter(registry, "worker_chunks_total", "Chunks read from the upstream", lambda: {"": self.chunks})
        self._first_chunk = Histogram(
            "worker_time_to_first_chunk_seconds",
            "From an upstream call to its first text",
            ["model"],
            buckets=_FIRST_CHUNKS,
            registry=registry,
        )
        self._calls = Histogram(
            "worker_upstream_duration_seconds",
            "Upstream calls from begin to end, whatever end",
            ["model"],
            buckets=_CALLS,
            registry=registry,
        )
        self._errors = Counter(
            "worker_upstream_errors_total", "Upstream calls that failed", ["model", "code"], registry=registry
        )
        self._retries = Counter(
            "worker_upstream_retries_total", "Calls of a model that had just failed", ["model"], registry=registry
        )
        self._fallbacks = Counter(
            "worker_fallbacks_total", "Times that another model was asked, by that model", ["model"], registry=registry
        )
        self._tokens = Counter(
            "worker_tokens_total", "Tokens as Gemini counts them", ["model", "kind"], registry=registry
        )

    def _count_commits(self) -> None:
        registry = self.vitals.registry
        self._commit_seconds = figures.Spread(
            registry, "worker_commit_seconds", "One write of what all turns had to say", _COMMITS
        )
        self._commit_entries = figures.Spread(
            registry, "worker_commit_entries", "Log entries in one such write", _ENTRIES
        )

    # Turns.

    def claimed(self, cause: str, waited: float) -> None:
        """An attempt begins; ``waited`` counts for a first one."""
        self._attempts.labels(cause).inc()
        if cause == "first":
            self._claim_latency.observe(waited)

    def ended(self, end: str, code: str = "") -> None:
        self._turns.labels(end).inc()
        if code:
            self._failures.labels(code).inc()

    def took_over(self) -> None:
        self.takeovers += 1

    # Calls.

    def first_text(self, model: str, seconds: float) -> None:
        self._first_chunk.labels(model).observe(seconds)

    def called(self, model: str, seconds: float, *, code: str, usage: Usage | None) -> None:
        """A call has ended, with an error where there is a ``code``."""
        self._calls.labels(model).observe(seconds)
        if code:
            self._errors.labels(model, code).inc()
        if usage is not None:
            self._tokens.labels(model, "input").inc(usage.input_tokens)
            self._tokens.labels(model, "output").inc(usage.output_tokens)

    def calls_again(self, model: str, instead_of: str) -> None:
        (self._retries if model == instead_of else self._fallbacks).labels(model).inc()

    # Writes.

    def committed(self, seconds: float, entries: int) -> None:
        self._commit_seconds.observe(seconds)
        self._commit_entries.observe(entries)
