"""The monitoring profile's files: alert rules and dashboard against the metrics that the processes really have."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import promql_parser
import pytest
from ruamel.yaml import YAML

from gateway.app import compose
from gateway.settings import GatewaySettings
from tests.promql import Series, grouping, named, offered
from workers.metrics import WorkerMetrics

ROOT = Path(__file__).parents[2]
FILES = ROOT / "gateway" / "monitoring"


def yaml(path: str) -> Any:
    return YAML(typ="safe").load(FILES / path)


SERVICES = YAML(typ="safe").load(ROOT / "compose.yaml")["services"]
SCRAPES = {job["job_name"]: job for job in yaml("prometheus.yml")["scrape_configs"]}
RULES = [rule for group in yaml("alerts.yml")["groups"] for rule in group["rules"]]
DASHBOARD: dict[str, Any] = msgspec.json.decode((FILES / "grafana/dashboards/gateway.json").read_bytes())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
UNITS = {"short", "s", "bytes", "Bps", "cps", "reqps", "percentunit", "bool_yes_no"}
"""Those of Grafana's units that are used; a unit of another name would be printed as it is."""


@pytest.fixture(scope="module")
def existing() -> Series:
    """Ours, from the very registries that are scraped, and Prometheus's own. HAProxy's are another test's."""
    gateway = compose(GatewaySettings())
    registries = (gateway.metrics.vitals.registry, WorkerMetrics().vitals.registry)
    series: Series = {"up": set(), "ALERTS": {"alertstate", "alertname"}}
    for registry in registries:
        for name, labels in offered(registry).items():
            series.setdefault(name, set()).update(labels)
    return {name: labels | {"job", "instance"} for name, labels in series.items()}


def expressions(panel: dict[str, Any]) -> Iterator[str]:
    for target in panel["targets"]:
        yield target["expr"]


def missing(expression: str, existing: Series) -> dict[str, set[str]]:
    """What an expression names and nobody has. HAProxy's names are asked of HAProxy."""
    wanted = {name: labels for name, labels in named(expression).items() if not name.startswith("haproxy_")}
    lacks = {name: labels - existing.get(name, set()) for name, labels in wanted.items()}
    return {name: labels for name, labels in lacks.items() if labels or name not in existing}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_metrics_that_exist(rule: dict[str, Any], existing: Series) -> None:
    assert missing(rule["expr"], existing) == {}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_metrics_that_exist(panel: dict[str, Any], existing: Series) -> None:
    for expression in expressions(panel):
        assert missing(expression, existing) == {}


def test_a_metric_that_nobody_has_is_noticed(existing: Series) -> None:
    assert missing("sum by (le) (rate(worker_commit_seconds_bucket[1m]))", existing) == {}
    assert missing("rate(worker_turns[1m])", existing) == {"worker_turns": set()}
    assert missing('worker_turns_total{kind="failed"}', existing) == {"worker_turns_total": {"kind"}}


def test_counters_are_only_ever_read_as_rates() -> None:
    """A counter's value is how long the process has run, more than anything else."""

    def counters(expression: str) -> list[str]:
        inside = re.sub(r"(?:rate|increase)\([^()]*\)", "", expression)
        return [name for name in named(expression) if name.endswith("_total") and re.search(rf"\b{name}\b", inside)]

    every = [expression for panel in PANELS for expression in expressions(panel)] + [rule["expr"] for rule in RULES]
    assert [found for expression in every for found in counters(expression)] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_how_urgent(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    if "for" in rule:
        assert promql_parser.parse_duration(rule["for"]).total_seconds() >= 30
    else:
        assert re.search(r"\[1[05]m\]", rule["expr"]), "what is not asked twice has to look far back"


def test_every_alert_of_an_outage_is_there() -> None:
    assert {"NoGateway", "NoWorker", "RedisAway", "QueueOld", "RequestErrors", "TurnsFail", "EventLoopLag"} <= {
        rule["alert"] for rule in RULES
    }
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_what_an_alert_quotes_is_a_label_that_its_expression_keeps(rule: dict[str, Any]) -> None:
    quoted = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    kept = grouping(rule["expr"])
    assert quoted <= ({"job", "instance"} if kept is None else kept)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_explains_itself(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["datasource"] == {
        "type": "prometheus",
        "uid": yaml("grafana/datasources/prometheus.yml")["datasources"][0]["uid"],
    }
    assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


def test_panels_have_places_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_grafana_asks_the_prometheus_that_runs_beside_it() -> None:
    (source,) = yaml("grafana/datasources/prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert set(SERVICES["grafana"]["networks"]) & set(SERVICES["prometheus"]["networks"])


def test_the_dashboard_is_where_grafana_looks_for_it() -> None:
    (provider,) = yaml("grafana/dashboards/provider.yml")["providers"]
    inside = provider["options"]["path"]
    assert f"./gateway/monitoring/grafana/dashboards:{inside}:ro" in SERVICES["grafana"]["volumes"]
    assert SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == f"{inside}/gateway.json"


def test_every_file_of_prometheus_is_mounted() -> None:
    mounted = {volume.split(":")[0] for volume in SERVICES["prometheus"]["volumes"]}
    configuration = yaml("prometheus.yml")
    assert {
        "./gateway/monitoring/prometheus.yml",
        *(f"./gateway/monitoring/{name}" for name in configuration["rule_files"]),
    } <= mounted


@pytest.mark.parametrize("service", ["gateway", "worker"])
def test_replicas_are_scraped_on_their_metrics_port_over_the_inner_network(service: str) -> None:
    (discovery,) = SCRAPES[service]["dns_sd_configs"]
    assert str(discovery["port"]) == str(SERVICES[service]["environment"]["METRICS_PORT"])
    assert discovery["type"] == "A"
    shared = set(SERVICES[service]["networks"]) & set(SERVICES["prometheus"]["networks"])
    name = discovery["names"][0]
    if name == service:
        assert shared == {"metrics"}, "in two networks a name has an address in each"
    else:
        assert name in SERVICES[service]["networks"]["metrics"]["aliases"]


def test_the_balancer_is_scraped_on_its_inner_port() -> None:
    (discovery,) = SCRAPES["haproxy"]["dns_sd_configs"]
    configuration = (ROOT / "gateway" / "haproxy.cfg").read_text()
    assert f"presetenv INSIDE_BIND :{discovery['port']}\n" in configuration
    assert set(discovery["names"]) == {name for name in SERVICES if name.startswith("haproxy")}


def test_no_balancer_knows_the_metrics_port() -> None:
    port = str(SERVICES["gateway"]["environment"]["METRICS_PORT"])
    assert port not in (ROOT / "gateway" / "haproxy.cfg").read_text()
    for name, service in SERVICES.items():
        if name.startswith("haproxy"):
            assert "metrics" not in service["networks"]
        assert not any(str(published).endswith(f":{port}") for published in service.get("ports", []))
