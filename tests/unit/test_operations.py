"""What the README tells operators to set, to watch and to call is there under that name."""

import re
from pathlib import Path

import msgspec
from ruamel.yaml import YAML

from gateway.app import compose
from gateway.settings import GatewaySettings
from tests.promql import offered
from tests.readme import README
from workers.commands import _parser
from workers.metrics import WorkerMetrics
from workers.settings import WorkerSettings
from workers.standalone.settings import StandaloneSettings

ROOT = Path(__file__).parents[2]
OPERATIONS = README.read_text(encoding="utf-8").partition("\n## Operations\n")[2].partition("\n## ")[0]


def test_every_variable_is_a_setting_or_one_of_the_containers() -> None:
    settings = {
        field.encode_name
        for kind in (GatewaySettings, WorkerSettings, StandaloneSettings)
        for field in msgspec.structs.fields(kind)
    }
    containers = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", (ROOT / "compose.yaml").read_text()))
    named = set(re.findall(r"`([A-Z][A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`", OPERATIONS))
    assert {"GRACE_SECONDS", "GRAFANA_BIND", "HTTP_PORT"} <= named
    assert named - settings - containers == set()


def test_every_setting_reaches_the_containers() -> None:
    named = set(re.findall(r"`([A-Z][A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`", OPERATIONS))
    families = set(re.findall(r"`([A-Z]+_)…`", OPERATIONS))
    services = YAML(typ="safe").load(ROOT / "compose.yaml")["services"]
    fixed = {"DRAIN_SECONDS", "DRAIN_NOTICE_SECONDS", "GRACE_SECONDS"}  # They go with the file's stop_grace_period.
    for service, kind in (("gateway", GatewaySettings), ("worker", WorkerSettings)):
        settings = {field.encode_name for field in msgspec.structs.fields(kind)}
        wanted = {name for name in settings if name in named or name.startswith(tuple(families))}
        assert len(wanted) > 2
        assert wanted - fixed <= set(services[service]["environment"]), service


def test_every_metric_exists() -> None:
    registries = (compose(GatewaySettings()).metrics.vitals.registry, WorkerMetrics().vitals.registry)
    series = {name for registry in registries for name in offered(registry)}
    named = set(re.findall(r"`((?:gateway|worker|process)_[a-z_]+)", OPERATIONS))
    assert len(named) > 8
    assert {name for name in named if not {name, f"{name}_count"} & series} == set()


def test_every_command_is_understood() -> None:
    words = {tuple(line.split()) for line in re.findall(r"python -m workers((?: [a-z]+)(?: TURN)?)", OPERATIONS)}
    assert words == {("check",), ("queue",), ("requeue", "TURN")}
    for each in words:
        assert _parser().parse_args(each).command == each[0]


def test_every_profile_and_service_is_in_the_compose_file() -> None:
    text = (ROOT / "compose.yaml").read_text()
    for profile in re.findall(r"--profile (\w+)", OPERATIONS):
        assert f"profiles: [{profile}]" in text
    for service in re.findall(r"docker compose exec (\w+)|restart ([\w-]+)`", OPERATIONS):
        assert re.search(rf"^  {''.join(service)}:", text, re.MULTILINE)


def test_what_the_logs_are_quoted_with_is_what_they_say() -> None:
    sources = "".join(path.read_text() for package in ("gateway", "workers") for path in (ROOT / package).rglob("*.py"))
    assert "turn taken from a lost worker" in sources
    assert '_missing"' in sources
    assert "gateway slots are in use" in (ROOT / "gateway" / "haproxy.cfg").read_text()
