"""``compose.yaml`` against what the programs and the balancer need; the linter checks it against the compose schema."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gateway.settings import GatewaySettings
from workers.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, dict[str, Any]] = YAML(typ="safe").load(ROOT / "compose.yaml")["services"]


def seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def texts(node: Any) -> Iterator[str]:
    """Every key and value below ``node``."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield str(key)
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    else:
        yield str(node)


def test_the_workers_alone_get_the_key() -> None:
    knowing = {name for name, service in SERVICES.items() if any("API_KEY" in text for text in texts(service))}
    assert knowing == {"worker"}


def test_the_key_is_passed_on_and_never_written_down() -> None:
    environment = SERVICES["worker"]["environment"]
    assert environment["GOOGLE_API_KEY"] is None
    assert environment["GEMINI_API_KEY"] is None


@pytest.mark.parametrize(("service", "settings"), [("gateway", GatewaySettings), ("worker", WorkerSettings)])
def test_every_variable_of_a_service_is_one_of_its_settings(service: str, settings: type[Any]) -> None:
    assert set(SERVICES[service]["environment"]) <= {field.upper() for field in settings.__struct_fields__}


def test_the_balancer_alone_can_be_reached_from_outside() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"haproxy"}


def test_the_balancer_cannot_reach_the_state() -> None:
    assert not set(SERVICES["haproxy"]["networks"]) & set(SERVICES["valkey"]["networks"])


def test_there_are_replicas_to_spare() -> None:
    assert SERVICES["gateway"]["deploy"]["replicas"] == 3
    assert SERVICES["worker"]["deploy"]["replicas"] == 2


@pytest.mark.parametrize(
    ("service", "drain"),
    [("gateway", GatewaySettings().drain_seconds), ("worker", WorkerSettings().grace_seconds)],
)
def test_a_service_has_the_time_to_drain(service: str, drain: float) -> None:
    assert seconds(SERVICES[service]["stop_grace_period"]) >= drain + 5


def test_a_draining_gateway_serves_on_until_the_balancer_has_noticed() -> None:
    configuration = (ROOT / "gateway" / "haproxy.cfg").read_text()
    check = re.search(r"check inter (\d+)s fastinter (\d+)ms fall (\d+)", configuration)
    assert check is not None
    interval, faster, failures = (int(number) for number in check.groups())
    noticed = interval + (failures - 1) * faster / 1000
    assert GatewaySettings().drain_notice_seconds >= 2 * noticed


def test_the_state_outlives_its_container() -> None:
    valkey = SERVICES["valkey"]
    assert valkey["command"][3:7] == ["--appendonly", "yes", "--appendfsync", "${APPENDFSYNC:-always}"]
    assert "noeviction" in valkey["command"]
    assert valkey["volumes"] == ["state:/data"]


def test_every_service_is_hardened_and_comes_back() -> None:
    for service in SERVICES.values():
        assert service["read_only"]
        assert service["init"]
        assert service["cap_drop"] == ["ALL"]
        assert service["restart"] == "unless-stopped"


def test_the_balancers_configuration_is_the_one_that_is_tested() -> None:
    assert SERVICES["haproxy"]["volumes"] == ["./gateway/haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro"]
