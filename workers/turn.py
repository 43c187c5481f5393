"""One turn, from claim to terminal event."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, TypeVar

import msgspec
import structlog

from gateway.state.errors import StateUnavailable
from gateway.state.linebreaks import LineBreaks
from gateway.state.records import Claim, Kind, Result, Usage
from gateway.state.sessions import Sessions
from gateway.state.turnlog import Verdict
from gateway.state.turns import Turns
from workers.departures import Departures
from workers.holds import Hold, Interrupt
from workers.journal import Journal, Writer
from workers.metrics import WorkerMetrics
from workers.model import Fault, GenerationError, Model
from workers.prompt import Budget, Prompt, build, wanted_images
from workers.quote import unquoted
from workers.retry import GiveUp, Progress, Retry, RetryPolicy, decide
from workers.watch import CallWatch, Watch

_log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Means:
    """What all turns of a worker share."""

    sessions: Sessions
    turns: Turns
    departures: Departures
    journal: Journal
    model: Model
    budget: Budget
    policy: RetryPolicy
    answer_max_bytes: int
    offline: bool
    clock: Callable[[], float] = monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    watch: Watch = field(default_factory=Watch)


@dataclass(frozen=True, slots=True)
class Ending:
    """The entry that ends a turn, and what history keeps of it."""

    kind: Kind
    data: dict[str, Any]
    result: Result


class LogSink:
    """Takes one call's answer into the turn's log. Implements ``workers.model.Sink``."""

    def __init__(self, writer: Writer, call: CallWatch, metrics: WorkerMetrics, most: int) -> None:
        """``most``: bytes that an answer may have."""
        self._writer = writer
        self._call = call
        self._metrics = metrics
        self._most = most
        self._breaks = LineBreaks()

    @property
    def full(self) -> bool:
        return self._writer.full

    def put(self, text: str, usage: Usage | None) -> None:
        """Raises ``GenerationError`` for an answer that grows too long, or is no Unicode (a lone surrogate)."""
        call, writer = self._call, self._writer
        self._metrics.chunks += 1
        if text and not call.texted:
            call.first_text()
        if usage is not None:
            call.usage = usage
        try:
            writer.put(self._breaks.feed(text), usage)
        except UnicodeEncodeError:
            raise GenerationError(Fault.GARBLED) from None
        if writer.size > self._most:
            raise GenerationError(Fault.TOO_LONG)

    async def room(self) -> None:
        await self._writer.room()


class TurnRun:
    """One run of one claimed turn; several attempts where the upstream breaks after text was shown."""

    def __init__(self, means: Means, hold: Hold) -> None:
        self._means = means
        self._hold = hold
        self._progress = Progress(means.policy.models[0])
        self._watch = means.watch.turn(hold.claim)
        self._begin(hold.claim)

    def _begin(self, claim: Claim) -> None:
        self._claim = claim
        self._writer: Writer = self._means.journal.open(claim, on_lost=self._lost)

    def _lost(self) -> None:
        self._hold.raise_interrupt(Interrupt.LOST)

    async def run(self) -> None:
        """Runs the turn to its end, or to where it is interrupted."""
        with self._watch:
            await self._run()

    async def _run(self) -> None:
        ending = await self._race()
        if ending is None:
            ending = await self._interrupted()
        if ending is not None:
            verdict = await self._writer.finish(ending.kind, msgspec.json.encode(ending.data), ending.result)
            self._report(ending, verdict)
            # One that goes on elsewhere must stay in the index: only so is it found, should its next worker die.
            if verdict is not Verdict.FENCED:
                self._means.departures.add(self._claim.ref)

    async def _race(self) -> Ending | None:
        """The answer against the hold's interrupts; None when an interrupt won.

        Whoever wins, the upstream call is closed when this returns. An answer that is complete is never given up for an
        interrupt: it only remains to be written.
        """
        if self._hold.interrupt is not None:
            return None
        async with asyncio.TaskGroup() as group:
            answer = group.create_task(self._answer())
            interrupt = group.create_task(self._hold.interrupted())
            await asyncio.wait((answer, interrupt), return_when=asyncio.FIRST_COMPLETED)
            answer.cancel()
            interrupt.cancel()
        return None if answer.cancelled() else answer.result()

    async def _interrupted(self) -> Ending | None:
        match self._hold.interrupt:
            case Interrupt.STOP:
                return self._stopped()
            case Interrupt.PUT_BACK:
                await self._writer.close()
                await self._until_available(lambda: self._means.turns.put_back(self._claim))
                self._watch.ends("put_back")
                _log.info("turn put back", turn=self._claim.ref.turn, attempt=self._claim.attempt)
            case _:
                _log.warning("turn lost", turn=self._claim.ref.turn, attempt=self._claim.attempt)
        return None

    # The answer.

    async def _answer(self) -> Ending:
        prompt = await self._until_available(self._prompt)
        while True:
            began = self._means.clock()
            try:
                return self._done(await self._generate(prompt))
            except GenerationError as error:
                # What no reader has seen is not shown any more; what was shown decides what comes next.
                await self._writer.close()
                seconds = self._means.clock() - began
                self._progress = self._progress.failed(seconds=seconds, text_shown=self._writer.wrote_text)
                decision = decide(self._means.policy, self._progress, error)
                self._tell(error, decision)
                if isinstance(decision, GiveUp):
                    return self._failed(error)
                await self._prepare(decision, error)

    async def _prompt(self) -> Prompt:
        """What the model is to see. Raises StateUnavailable."""
        claim, given, budget = self._claim, self._claim.input, self._means.budget
        images = await self._means.sessions.images(claim.ref.session, wanted_images(claim.history, given, budget))
        prompt = build(claim.history, given, images, budget)
        claim.history.clear()  # else it would be held for as long as the turn runs
        return prompt

    async def _generate(self, prompt: Prompt) -> str:
        """Lets one call's answer into the log; its finish reason."""
        model = self._progress.model
        with self._watch.call(model) as call:
            into = LogSink(self._writer, call, self._means.watch.metrics, self._means.answer_max_bytes)
            end = await self._means.model.generate(prompt, model, into)
            call.usage, call.finish_reason, call.model = end.usage or call.usage, end.finish_reason, end.model
            self._writer.put("", end.usage)  # A model may know it at the end alone.
        return end.finish_reason

    async def _prepare(self, retry: Retry, error: GenerationError) -> None:
        await self._means.sleep(retry.after)
        self._watch.again(retry.model, self._progress.model)
        self._progress = self._progress.after(retry)
        if not retry.new_attempt:
            return
        attempt = await self._until_available(lambda: self._means.turns.reattempt(self._claim, error.code.value))
        if attempt is None:
            self._lost()
            await asyncio.Event().wait()  # until the interrupt just raised ends this task
        else:
            self._watch.attempt(attempt, error.code.value)
            self._begin(replace(self._claim, attempt=attempt))

    async def _until_available(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeats a call of the contract until Redis answers; the turn's deadline is the bound."""
        while True:
            try:
                return await call()
            except StateUnavailable as error:
                _log.debug("waiting for Redis", turn=self._claim.ref.turn, reason=str(error))
                await self._means.sleep(random.uniform(0.1, 0.5))

    # The ends.

    def _done(self, finish_reason: str) -> Ending:
        model, usage = self._progress.model, self._used()
        data: dict[str, Any] = {"finish_reason": finish_reason, "model": model, "usage": usage or {}}
        if self._means.offline:
            data["offline"] = True
        return Ending(Kind.DONE, data, Result(finish_reason, model, usage, offline=self._means.offline))

    def _stopped(self) -> Ending:
        model, usage = self._progress.model, self._used()
        result = Result(None, model, usage, stopped=True, offline=self._means.offline)
        return Ending(Kind.STOPPED, {"usage": usage or {}}, result)

    def _failed(self, error: GenerationError) -> Ending:
        data = {"error": error.code.value, "message": error.message, "retryable": error.retryable}
        return Ending(Kind.FAILED, data, Result(model=self._progress.model, usage=self._used()))

    def _used(self) -> dict[str, int] | None:
        usage = self._writer.usage
        return usage.as_json() if usage else None

    def _tell(self, error: GenerationError, decision: Retry | GiveUp) -> None:
        _log.warning(
            "call failed",
            turn=self._claim.ref.turn,
            attempt=self._claim.attempt,
            error=error.code.value,
            detail=unquoted(error.detail, self._claim.input.text or ""),
            decision=decision,
        )

    def _report(self, ending: Ending, verdict: Verdict) -> None:
        if verdict is Verdict.OK:
            self._watch.ends(ending.kind.value, ending.data.get("error", ""))
        _log.info(
            "turn ended",
            turn=self._claim.ref.turn,
            end=ending.kind.value,
            attempt=self._claim.attempt,
            model=self._progress.model,
            written=str(verdict),
            bytes=self._writer.size,
            usage=self._used(),
            **self._watch.told(),
        )
