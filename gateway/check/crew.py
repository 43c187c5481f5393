"""The workers that say they live, and the line of turns before them."""

from collections import Counter
from collections.abc import Iterator

from gateway.state.records import About, Census
from gateway.telemetry.findings import Finding, fail, ok, warn

_LONG = 15.0
"""Seconds that a turn may wait before that is worth a word."""


def workers(census: Census) -> Iterator[Finding]:
    crew = list(census.workers.values())
    if not crew:
        yield fail(
            "workers", "none lives: new turns are refused with 503", "Start some, or see why they end (their logs)"
        )
        return
    places = sum(about.concurrency for about in crew)
    kinds = Counter(_kind(about) for about in crew)
    told = ", ".join(f"{count} of {kind}" for kind, count in sorted(kinds.items()))
    yield ok("workers", f"{len(crew)} alive with places for {places} turns: {told}")
    if any(about.offline for about in crew):
        yield warn("workers", "the offline stand-in model answers, not Gemini", "Give every worker GOOGLE_API_KEY")
    if len({about.model for about in crew}) > 1:
        yield warn("workers", "they ask different models", "Give all of them the same GEMINI_MODEL_TYPE")
    if len({about.version for about in crew}) > 1:
        yield warn("workers", "they are of different versions", "Finish the upgrade, if none is under way")


def _kind(about: About) -> str:
    model = f"{about.model} (offline)" if about.offline else about.model
    return f"{model}, version {about.version}" if about.version else model


def queue(census: Census, limit: int) -> Finding:
    told = f"{census.waiting} waiting, {census.live} in all"
    if census.waiting >= limit:
        return fail("queue", f"{told}: full, new turns are refused with 503", "Add workers, or raise QUEUE_LIMIT")
    if census.oldest_wait > _LONG:
        return warn("queue", f"{told}, the oldest for {census.oldest_wait:.0f} s", "Add workers")
    return ok("queue", told)
