"""The metrics' names, by the conventions that ``promtool check metrics`` looks after, and by ours."""

import re

import pytest
from prometheus_client import Metric

from gateway.metrics import GatewayMetrics
from gateway.problems import Draining, TooMany
from gateway.queue_view import QueueView
from gateway.state.ids import WorkerId
from gateway.state.records import About, Census, Usage
from tests.scrape import names, of
from workers.metrics import WorkerMetrics

UNITS = ("seconds", "bytes")
NO_BASE_UNITS = re.compile(
    r"_(milliseconds|ms|microseconds|us|nanoseconds|minutes|hours|days|kilobytes|kb|megabytes|mb|percent)(_|$)"
)
TYPES = re.compile(r"(counter|gauge|histogram|summary|metric)")
ABBREVIATIONS = re.compile(r"_(secs?|s|b|num|cnt|tot|req|resp|dur|lat)(_|$)")
LABELS = {
    "method", "route", "code", "policy", "kind", "reason", "outcome", "end", "cause", "model",
    "version", "python", "offline",
}  # fmt: skip
"""All labels that there are: each has few values, none is an id, a path or an address."""
LIBRARYS = ("process_", "python_")


async def of_a_gateway() -> list[Metric]:
    """With something in every series."""
    metrics = GatewayMetrics()

    async def look() -> Census:
        return Census(3, 5, 1.5, {WorkerId("w"): About("m", False, 64)})

    await QueueView(metrics.vitals, look).refresh()
    metrics.ended("GET", "/", 200, 0.01)
    metrics.refused(Draining())
    metrics.refused(TooMany("turns_a_day", 3))
    metrics.image_accepted(100)
    return of(metrics.vitals.registry).families


async def of_a_worker() -> list[Metric]:
    metrics = WorkerMetrics(model="m", capacity=64)
    metrics.claimed("first", 0.1)
    metrics.ended("failed", "timeout")
    metrics.first_text("m", 0.3)
    metrics.called("m", 1.0, code="timeout", usage=Usage(1, 2, 3))
    metrics.calls_again("m", "m")
    metrics.calls_again("n", "m")
    metrics.committed(0.01, 3)
    return of(metrics.vitals.registry).families


EVERY = pytest.mark.parametrize("process", [of_a_gateway, of_a_worker])


async def own(process: object) -> list[Metric]:
    families: list[Metric] = await process()  # type: ignore[operator]
    assert len(families) > 15
    return [family for family in families if not family.name.startswith(LIBRARYS)]


@EVERY
async def test_every_metric_says_what_it_is(process: object) -> None:
    assert [family.name for family in await own(process) if not family.documentation] == []


@EVERY
async def test_names_are_of_small_letters_and_begin_with_their_process(process: object) -> None:
    prefix = "gateway_" if process is of_a_gateway else "worker_"
    for family in await own(process):
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", family.name)
        assert family.name.startswith(prefix)


@EVERY
async def test_units_are_base_units_and_come_last(process: object) -> None:
    for family in await own(process):
        assert not NO_BASE_UNITS.search(family.name), family.name
        assert not ABBREVIATIONS.search(family.name), family.name
        for unit in UNITS:
            assert f"_{unit}" not in family.name or family.name.endswith(f"_{unit}"), family.name


@EVERY
async def test_counters_and_no_others_end_in_total(process: object) -> None:
    for family in await own(process):
        assert (family.type == "counter") == any(sample.name == f"{family.name}_total" for sample in family.samples), (
            family.name
        )
        assert not family.name.endswith("_total")


@EVERY
async def test_no_name_says_its_type_and_none_ends_as_a_part_of_a_histogram(process: object) -> None:
    for family in await own(process):
        assert not TYPES.search(family.name), family.name
        assert not family.name.endswith(("_count", "_sum", "_bucket", "_created")), family.name


@EVERY
async def test_no_series_tells_when_it_was_created(process: object) -> None:
    for family in await own(process):
        assert not [sample for sample in family.samples if sample.name.endswith("_created")]


@EVERY
async def test_labels_are_few_and_known(process: object) -> None:
    for family in await own(process):
        for sample in family.samples:
            labels = set(sample.labels) - {"le"}
            assert labels <= LABELS
            assert len(labels) <= 4
            assert not labels & {family.type, family.name}


@EVERY
async def test_a_scrape_stays_small(process: object) -> None:
    assert sum(len(family.samples) for family in await own(process)) < 400


async def test_the_library_tells_of_process_and_python(recwarn: pytest.WarningsRecorder) -> None:
    told = names(await of_a_gateway())
    assert {"process_resident_memory_bytes", "process_open_fds", "python_info"} <= told
    assert not recwarn
