"""What gateways and workers alike tell of themselves: what they are, how Redis does, whether their loop keeps up."""

import asyncio
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Never

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from gateway.telemetry import figures

_TRIPS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_LAGS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_TICK_SECONDS = 0.25


def product_version() -> str:
    try:
        return version("gemini-gateway")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"


class Vitals:
    """Makes the process's registry. ``kind`` is the prefix of every name."""

    def __init__(self, kind: str, **about: str) -> None:
        # A series for every counter, to say since when it counts, doubles them all.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        build = Info(f"{kind}_build", "What runs here; always 1", registry=self.registry)
        build.info({"version": product_version(), "python": platform.python_version(), **about})
        self.redis = RedisFigures(self.registry, kind)
        self.lag = figures.Spread(
            self.registry,
            f"{kind}_event_loop_lag_seconds",
            "How much later than asked the event loop came to what was due, four times a second",
            _LAGS,
        )

    async def watch_loop(self) -> Never:
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + _TICK_SECONDS
            await asyncio.sleep(_TICK_SECONDS)
            self.lag.observe(max(0.0, clock() - due))


class RedisFigures:
    """Implements ``RedisMeter``."""

    def __init__(self, registry: CollectorRegistry, kind: str) -> None:
        self._up = 0.0
        self._connections = 0
        trips = figures.Spread(
            registry,
            f"{kind}_redis_command_seconds",
            "From a command to its answer, over the connection that all tasks share",
            _TRIPS,
        )
        self._observe = trips.observe
        figures.counter(
            registry,
            f"{kind}_redis_reconnects_total",
            "Connections to Redis that took the place of a lost one",
            lambda: {"": max(0, self._connections - 1)},
        )
        figures.gauge(
            registry,
            f"{kind}_redis_up",
            "1 if Redis answered the last time it was asked, else 0",
            lambda: {"": self._up},
        )

    def round_trip(self, seconds: float) -> None:
        self._up = 1.0
        self._observe(seconds)

    def connected(self) -> None:
        self._up = 1.0
        self._connections += 1

    def lost(self) -> None:
        self._up = 0.0

    def seen(self, *, up: bool) -> None:
        """Somebody else found it there, or away."""
        self._up = float(up)
