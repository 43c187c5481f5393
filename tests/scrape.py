"""What a process tells Prometheus, as a test asks for it."""

import http.client
from collections.abc import Iterable

import aiohttp
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

HOST = "127.0.0.1"


class Scrape:
    """One answer. Its text is in Prometheus' own format."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families: list[Metric] = list(text_string_to_metric_families(text))
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        """A series' value; 0 for one that is not there, as a counter that never counted."""
        return self._samples.get((name, frozenset(labels.items())), 0.0)

    def has(self, name: str) -> bool:
        return any(name == known for known, _ in self._samples)

    def labels(self, name: str) -> list[dict[str, str]]:
        """Of all the series with that name."""
        return [dict(labels) for known, labels in self._samples if known == name]


def of(registry: CollectorRegistry) -> Scrape:
    return Scrape(generate_latest(registry).decode())


async def scrape(port: int) -> Scrape:
    async with aiohttp.ClientSession() as http_client, http_client.get(f"http://{HOST}:{port}/metrics") as answer:
        assert answer.status == http.client.OK, await answer.text()
        return Scrape(await answer.text())


def rise(before: Scrape, after: Scrape, name: str, **labels: str) -> float:
    return after(name, **labels) - before(name, **labels)


def names(families: Iterable[Metric]) -> set[str]:
    """As they stand in queries: counters with their ``_total``."""
    return {family.name + ("_total" if family.type == "counter" else "") for family in families}
