"""A worker's turns and calls as seen from outside: what is counted, traced and logged of them, in one place.

Spans by OpenTelemetry's semantic conventions for messaging and for generative AI. Nothing that was said is told.
"""

import asyncio
import time
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Any, Self

import structlog

from gateway.state.records import Claim, Usage
from gateway.telemetry.tracing import NoTracer, Span, SpanKind, Tracer, Value
from workers.metrics import WorkerMetrics
from workers.model import GenerationError

GEMINI, OFFLINE = "gcp.gemini", "offline"
"""Who answers: the names of providers."""
_NAME_CHARS = 100


class Watch:
    """For all turns of a worker.

    ``upstream`` is Gemini's host, if that answers; ``clock`` counts seconds, ``now`` is Unix time.
    """

    def __init__(
        self,
        metrics: WorkerMetrics | None = None,
        tracer: Tracer | None = None,
        *,
        upstream: str = "",
        clock: Callable[[], float] = monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.metrics = metrics or WorkerMetrics()
        self.tracer = tracer or NoTracer()
        self.upstream = upstream
        self.clock = clock
        self.now = now

    def turn(self, claim: Claim) -> "TurnWatch":
        """To be called in the task that runs the turn: what that logs names the trace."""
        return TurnWatch(self, claim)


class TurnWatch:
    """One run of a claimed turn: entered when it begins, left when it is over."""

    def __init__(self, watch: Watch, claim: Claim) -> None:
        self._watch = watch
        self._claim = claim
        self._began = watch.clock()
        self._first_text: float | None = None
        self._retries = 0
        self._outcome = ("lost", "")
        self._waited = max(0.0, watch.now() - claim.input.created_at.timestamp())
        watch.metrics.claimed("first" if claim.attempt == 1 else "takeover", self._waited)
        self._span = self._begin(claim.attempt)
        if self._span.trace_id:
            structlog.contextvars.bind_contextvars(trace_id=self._span.trace_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end, code = ("broken", kind.__name__) if kind is not None else self._outcome
        self._watch.metrics.ended("lost" if end == "broken" else end, code if end == "failed" else "")
        self._end_attempt(end, code or ("lost" if end == "lost" else ""))

    def attempt(self, attempt: int, reason: str) -> None:
        """The turn begins anew, as what was said broke off."""
        self._end_attempt("retry", reason)
        self._watch.metrics.claimed("retry", 0.0)
        self._span = self._begin(attempt)

    def again(self, model: str, instead_of: str) -> None:
        """A call failed and ``model`` is going to be called."""
        self._retries += 1
        self._watch.metrics.calls_again(model, instead_of)

    def ends(self, end: str, code: str = "") -> None:
        """How it is over; without this it was lost."""
        self._outcome = (end, code)

    def call(self, model: str) -> "CallWatch":
        return CallWatch(self._watch, self, model, self._span.traceparent)

    def texted(self) -> None:
        """A reader has something to read."""
        if self._first_text is None:
            self._first_text = self._watch.clock() - self._began

    def told(self) -> dict[str, Any]:
        """For the line that the log has of it: times in milliseconds."""
        first = {} if self._first_text is None else {"first_chunk_ms": round(self._first_text * 1000)}
        return {
            "waited_ms": round(self._waited * 1000),
            **first,
            "total_ms": round((self._watch.clock() - self._began) * 1000),
            "retries": self._retries,
        }

    def _begin(self, attempt: int) -> Span:
        attributes: dict[str, Value] = {
            "messaging.system": "redis",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": "turns",
            "gateway.turn.id": self._claim.ref.turn,
            "gateway.turn.attempt": attempt,
        }
        return self._watch.tracer.start("process turn", SpanKind.CONSUMER, self._claim.trace, attributes)

    def _end_attempt(self, end: str, error: str) -> None:
        self._span.set("gateway.turn.end", end)
        self._span.end(error)


class CallWatch:
    """One call of a model, from entering to leaving. Whoever reads it keeps the attributes."""

    __slots__ = ("_began", "_model", "_span", "_turn", "_watch", "finish_reason", "model", "texted", "usage")

    def __init__(self, watch: Watch, turn: TurnWatch, model: str, parent: str) -> None:
        self.texted = False
        """``first_text`` was called."""
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.model: str | None = None
        """What the model that answered calls itself."""
        self._watch = watch
        self._turn = turn
        self._model = model
        self._began = watch.clock()
        attributes: dict[str, Value] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": GEMINI if watch.upstream else OFFLINE,
            "gen_ai.request.model": model,
            "gen_ai.output.type": "text",
        }
        if watch.upstream:
            attributes["server.address"] = watch.upstream
        self._span = watch.tracer.start(f"chat {model}", SpanKind.CLIENT, parent, attributes)

    def first_text(self) -> None:
        self.texted = True
        self._watch.metrics.first_text(self._model, self._watch.clock() - self._began)
        self._turn.texted()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        metrics, took = self._watch.metrics, self._watch.clock() - self._began
        metrics.called(self._model, took, code=_code(error), usage=self.usage)
        if self.usage is not None:
            self._span.set("gen_ai.usage.input_tokens", self.usage.input_tokens)
            self._span.set("gen_ai.usage.output_tokens", self.usage.output_tokens)
        if self.finish_reason is not None:
            self._span.set("gen_ai.response.finish_reasons", [self.finish_reason])
        if self.model:
            self._span.set("gen_ai.response.model", self.model[:_NAME_CHARS])
        self._span.end(_code(error))


def _code(error: BaseException | None) -> str:
    """The kind of what went wrong; a call that we ended ourselves did not go wrong."""
    if error is None or isinstance(error, asyncio.CancelledError | GeneratorExit):
        return ""
    return error.code.value if isinstance(error, GenerationError) else type(error).__name__
