"""What PromQL expressions name and what our processes offer, so that no dashboard asks for what does not exist."""

import re
from collections.abc import Iterator

import promql_parser
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from promql_parser import Expr

_GRAFANA_VARIABLES = {"$__rate_interval": "1m"}
_SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
    "info": ("_info",),
}

Series = dict[str, set[str]]
"""Labels by the series' name."""


def parsed(expression: str) -> Expr:
    """Raises ValueError for what is no PromQL."""
    for variable, value in _GRAFANA_VARIABLES.items():
        expression = expression.replace(variable, value)
    return promql_parser.parse(expression)


def named(expression: str) -> Series:
    """The series that an expression reads, each with the labels by which it selects or groups."""
    found: Series = {}

    def visit(node: Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.setdefault(node.name or "", set()).update(each.name for each in node.matchers.matchers)
        return True

    promql_parser.walk(parsed(expression), visit)
    grouped = grouping(expression) or set()
    return {name: labels | grouped for name, labels in found.items()}


def offered(registry: CollectorRegistry) -> Series:
    """The series of a process, also those whose labels have had no value yet."""
    series: Series = {}
    for collector in list(registry._collector_to_names):
        instrument = getattr(collector, "_family", lambda one=collector: one)()
        labels = set(getattr(instrument, "_labelnames", ()))
        for family in collector.collect():
            for name, sample_labels in _series(family):
                series.setdefault(name, set()).update(labels | sample_labels)
    return series


def grouping(expression: str) -> set[str] | None:
    """The labels that its aggregations keep; None where it has none and all labels stay."""
    kept: set[str] = set()
    aggregated = False

    def visit(node: Expr) -> bool:
        nonlocal aggregated
        if isinstance(node, promql_parser.AggregateExpr):
            aggregated = True
            kept.update(node.modifier.labels if node.modifier is not None else ())
        return True

    promql_parser.walk(parsed(expression), visit)
    return kept if aggregated else None


def scraped(text: str) -> Series:
    """The series of a text exposition, such as HAProxy's."""
    series: Series = {}
    for line in text.splitlines():
        found = re.match(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ", line)
        if found:
            series.setdefault(found[1], set()).update(re.findall(r'(\w+)="', found[2] or ""))
    return series


def _series(family: Metric) -> Iterator[tuple[str, set[str]]]:
    for suffix in _SUFFIXES.get(family.type, ("",)):
        extra = {"le"} if suffix == "_bucket" else set()
        yield family.name + suffix, extra
    for sample in family.samples:
        yield sample.name, set(sample.labels)
