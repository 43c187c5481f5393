"""The queue's metrics."""

from collections.abc import Awaitable, Callable
from time import monotonic

from gateway.state.records import Census
from gateway.telemetry import figures
from gateway.telemetry.vitals import Vitals


class QueueView:
    """The queue as one gateway sees it, looked at when somebody asks, and at most once a second."""

    _FRESH_SECONDS = 1.0

    def __init__(
        self,
        vitals: Vitals,
        look: Callable[[], Awaitable[Census | None]],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """``look`` gives None while Redis is away: then there is no figure, rather than an old one."""
        self._redis = vitals.redis
        self._look = look
        self._clock = clock
        self._seen: Census | None = None
        self._seen_at = -self._FRESH_SECONDS
        registry, gauge = vitals.registry, figures.gauge
        gauge(registry, "gateway_queue_depth", "Turns that wait for a worker", self._of(lambda seen: seen.waiting))
        gauge(
            registry,
            "gateway_queue_oldest_age_seconds",
            "How long the oldest waiting turn has waited; 0 when none waits",
            self._of(lambda seen: seen.oldest_wait),
        )
        gauge(registry, "gateway_turns_live", "Turns that wait or run", self._of(lambda seen: seen.live))
        gauge(registry, "gateway_workers", "Workers that live", self._of(lambda seen: len(seen.workers)))

    async def refresh(self) -> None:
        """To be awaited before a scrape."""
        now = self._clock()
        if now - self._seen_at < self._FRESH_SECONDS:
            return
        self._seen_at = now
        self._seen = await self._look()
        self._redis.seen(up=self._seen is not None)

    def _of(self, number: Callable[[Census], float]) -> figures.Read:
        return lambda: {} if self._seen is None else {"": number(self._seen)}
