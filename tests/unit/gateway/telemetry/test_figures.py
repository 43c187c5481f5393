"""Figures against the metrics of prometheus_client, whose place they take."""

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics, generate_latest

from gateway.telemetry import figures

BUCKETS = (0.00025, 0.001, 1, 512)


def test_a_spread_tells_what_a_histogram_would() -> None:
    disable_created_metrics()  # type: ignore[no-untyped-call]
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    spread = figures.Spread(ours, "some_seconds", "Something", BUCKETS)
    histogram = Histogram("some_seconds", "Something", buckets=BUCKETS, registry=theirs)
    assert generate_latest(ours) == generate_latest(theirs)
    for value in (0.0, 0.00025, 0.0003, 1, 1.0001, 512.0, 1e9):
        spread.observe(value)
        histogram.observe(value)
    assert generate_latest(ours) == generate_latest(theirs)
