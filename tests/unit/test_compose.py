"""``compose.yaml`` against what the programs and the balancer need; the linter checks it against the compose schema."""

import re
import subprocess
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
    given = {name for name in SERVICES[service]["environment"] if not name.startswith("OTEL_")}  # a standard's own
    assert given <= {field.upper() for field in settings.__struct_fields__}


def test_the_balancer_alone_can_be_reached_from_outside() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service and "profiles" not in service} == {
        "haproxy"
    }


def test_profiles_leave_the_default_as_it_is() -> None:
    assert {name for name, service in SERVICES.items() if "profiles" not in service} == {
        "haproxy",
        "gateway",
        "worker",
        "valkey",
        "sync",
    }
    needed = {need for service in SERVICES.values() if "profiles" not in service for need in texts(service)}
    assert not needed & {name for name, service in SERVICES.items() if "profiles" in service}


def test_what_watches_is_reached_from_this_machine_alone() -> None:
    for name in ("prometheus", "grafana"):
        assert SERVICES[name]["profiles"] == ["monitoring"]
        for port in SERVICES[name]["ports"]:
            assert re.fullmatch(r"\$\{\w+:-127\.0\.0\.1:\d+\}:\d+", port)


def test_what_watches_reaches_neither_state_nor_gemini() -> None:
    for name in ("prometheus", "grafana"):
        assert not set(SERVICES[name]["networks"]) & {"state", "outside"}


def test_grafana_does_not_start_with_a_password_that_everybody_knows() -> None:
    grafana = SERVICES["grafana"]
    assert grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD"] == "${GRAFANA_PASSWORD:-}"
    script = grafana["entrypoint"][2].replace("$$", "$").replace("exec /run.sh", "echo started")
    for password, status in (("", 2), ("chosen", 0)):
        environment = {"GF_SECURITY_ADMIN_PASSWORD": password, "PATH": "/usr/bin:/bin"}
        ended = subprocess.run(["sh", "-c", script], check=False, env=environment, capture_output=True, text=True)
        assert ended.returncode == status
        assert ("started" in ended.stdout) is (status == 0)


def test_every_image_has_an_exact_version() -> None:
    for service in SERVICES.values():
        assert service["image"] == "gemini-gateway" or re.search(r":v?\d+\.\d+", service["image"])


def test_every_service_is_looked_after() -> None:
    for name, service in SERVICES.items():
        assert "healthcheck" in service or name == "gateway", "the gateway's is the image's"


def test_the_tls_profile_is_the_balancer_with_a_certificate() -> None:
    plain, secure = SERVICES["haproxy"], SERVICES["haproxy-tls"]
    assert secure["profiles"] == ["tls"]
    for what in ("image", "volumes", "networks", "depends_on", "healthcheck", "stop_grace_period"):
        assert secure[what] == plain[what]
    environment = secure["environment"]
    assert set(environment) == {*plain["environment"], "WEB_BIND", "REDIRECT_BIND", "REDIRECT_PORT", "HSTS"}
    assert environment["TLS_CERT"] == f"/run/secrets/{secure['secrets'][0]}"
    inside = {environment["WEB_BIND"], environment["REDIRECT_BIND"]}
    assert inside == {f":{port.rpartition(':')[2]}" for port in secure["ports"]}


def test_the_balancer_is_given_only_what_its_configuration_reads() -> None:
    configuration = (ROOT / "gateway" / "haproxy.cfg").read_text()
    for name in ("haproxy", "haproxy-tls"):
        for variable in SERVICES[name]["environment"]:
            assert re.search(rf"\$\{{?{variable}\b", configuration), variable


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
    assert valkey["command"][3:7] == ["--appendonly", "yes", "--appendfsync", "${APPENDFSYNC:-no}"]
    assert "noeviction" in valkey["command"]
    assert valkey["volumes"] == ["state:/data"]


def test_what_valkey_has_written_is_synced_again_and_again(tmp_path: Path) -> None:
    sync = SERVICES["sync"]
    assert sync["volumes"] == ["state:/data:ro"]
    assert sync["network_mode"] == "none"
    files = tmp_path / "appendonlydir"
    files.mkdir()
    for kind in ("1.base.rdb", "1.incr.aof", "2.incr.aof", "manifest"):
        (files / f"appendonly.aof.{kind}").touch()
    for name, script in (("sleep", 'test "$(wc -l <calls)" -lt 2'), ("sync", 'echo "$@" >>calls; exit 1')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "calls").touch()

    command = [part.replace("/data/", "") for part in sync["command"]]
    subprocess.run(command, cwd=tmp_path, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False, timeout=10)

    growing = "-d appendonlydir/appendonly.aof.1.incr.aof appendonlydir/appendonly.aof.2.incr.aof"
    assert (tmp_path / "calls").read_text().splitlines() == [growing, growing]


def test_every_service_is_hardened_and_comes_back() -> None:
    for service in SERVICES.values():
        assert service["read_only"]
        assert service["init"]
        assert service["cap_drop"] == ["ALL"]
        assert service["restart"] == "unless-stopped"


def test_the_balancers_configuration_is_the_one_that_is_tested() -> None:
    assert SERVICES["haproxy"]["volumes"] == ["./gateway/haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro"]
