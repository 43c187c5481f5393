"""What to do after a failed call: pure decisions, data in and data out.

A transient fault before the first text of an attempt is retried in the same attempt, unseen by the reader: the same
model again with exponential backoff and full jitter, never sooner than Gemini asked for, until the model had its
share of tries or the time for retries is used up; then each fallback model in turn; then it is the turn's end. Once
text was shown, the same happens as a new attempt, which tells the reader to discard that text. Other faults (a
request that Gemini refuses, a wrong key) are told at once.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from workers.model import GenerationError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    models: tuple[str, ...]
    """The model, then its fallbacks in order."""
    tries: int = 4
    """Calls to one model within an attempt."""
    attempts: int = 3
    """Attempts that a turn may use up by faults after text was shown."""
    seconds: float = 30.0
    """How long a turn may go without text, in failed calls and waits together, before its model is given up."""
    base: float = 0.5
    """Upper end of the first wait, in seconds; it doubles with each try."""
    ceiling: float = 8.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a turn stands: kept by whoever runs it, moved on by ``failed`` and ``after``."""

    model: str
    tries: int = 0
    """Failed calls of this model in this attempt."""
    attempt: int = 1
    """1, and one more for each attempt that a fault after text has begun."""
    elapsed: float = 0.0
    """Seconds without text so far. Time in which text flowed does not count."""
    text_shown: bool = False
    """The call that just failed had shown text."""

    def failed(self, *, seconds: float, text_shown: bool) -> "Progress":
        """After a call that failed ``seconds`` after it began, with or without having shown text."""
        lost = 0.0 if text_shown else seconds
        return replace(self, tries=self.tries + 1, elapsed=self.elapsed + lost, text_shown=text_shown)

    def after(self, retry: "Retry") -> "Progress":
        """When the wait of ``retry`` is over."""
        fresh = retry.new_attempt or retry.model != self.model
        return Progress(
            model=retry.model,
            tries=0 if fresh else self.tries,
            attempt=self.attempt + retry.new_attempt,
            elapsed=self.elapsed + retry.after,
        )


@dataclass(frozen=True, slots=True)
class Retry:
    """Wait ``after`` seconds, then call ``model``; as a new attempt where the reader has text to discard."""

    after: float
    model: str
    new_attempt: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The error is the turn's end."""


Decision = Retry | GiveUp


def decide(
    policy: RetryPolicy,
    progress: Progress,
    error: GenerationError,
    chance: Callable[[], float] = random.random,
) -> Decision:
    """What follows ``error``; ``progress`` already counts the failed call (``Progress.failed``).

    ``chance`` gives numbers in [0, 1). The waits for one model never bring ``elapsed`` above ``policy.seconds``.
    """
    if not error.transient:
        return GiveUp()
    if progress.text_shown and progress.attempt >= policy.attempts:
        return GiveUp()
    wait = _wait(policy, progress, error.retry_after or 0.0, chance)
    if wait is not None:
        return Retry(wait, progress.model, progress.text_shown)
    fallback = _next_model(policy, progress.model)
    if fallback is None:
        return GiveUp()
    return Retry(0.0, fallback, progress.text_shown)


def _wait(policy: RetryPolicy, progress: Progress, asked: float, chance: Callable[[], float]) -> float | None:
    """Seconds until the same model is called again, or ``None`` when it has had its share."""
    left = policy.seconds - progress.elapsed
    spent = not progress.text_shown and progress.tries >= policy.tries
    if spent or left <= 0 or asked > left:
        return None
    # A call that had shown text is the model's first failure as far as backing off goes.
    doublings = 0 if progress.text_shown else progress.tries - 1
    jitter = chance() * min(policy.ceiling, policy.base * 2.0**doublings)
    return min(asked + jitter, left)


def _next_model(policy: RetryPolicy, model: str) -> str | None:
    following = policy.models.index(model) + 1
    return policy.models[following] if following < len(policy.models) else None
