"""Numbers that are kept as plain attributes where they change often, and become metrics when somebody asks.

Adding to a Prometheus counter takes a lock and a call; adding to an attribute takes neither, and there are places here
that are passed for every chunk of every answer.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from math import inf

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Read = Callable[[], Mapping[str, float]]
"""The present numbers by the label's value; one under ``""`` where there is no label, none where none is known."""


class Figures(Collector):
    """One metric that is read, not written to."""

    def __init__(self, family: Callable[[], CounterMetricFamily | GaugeMetricFamily], read: Read) -> None:
        self._family = family
        self._read = read

    def collect(self) -> Iterable[Metric]:
        family = self._family()
        for label, value in self._read().items():
            family.add_metric([label] if label else [], value)
        yield family


def counter(registry: CollectorRegistry, name: str, documentation: str, read: Read, label: str = "") -> None:
    labels = [label] if label else None
    registry.register(Figures(lambda: CounterMetricFamily(name, documentation, labels=labels), read))


def gauge(registry: CollectorRegistry, name: str, documentation: str, read: Read, label: str = "") -> None:
    labels = [label] if label else None
    registry.register(Figures(lambda: GaugeMetricFamily(name, documentation, labels=labels), read))


class Spread(Collector):
    """A histogram without labels, for one thread."""

    def __init__(self, registry: CollectorRegistry, name: str, documentation: str, buckets: Sequence[float]) -> None:
        """``buckets``: their upper bounds, rising; what is above them all is counted, too."""
        self._name = name
        self._documentation = documentation
        self._bounds = (*buckets, inf)
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0
        registry.register(self)

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(self._name, self._documentation)
        bounds = map(floatToGoString, self._bounds)
        family.add_metric([], list(zip(bounds, accumulate(self._counts), strict=True)), self._sum)
        yield family
