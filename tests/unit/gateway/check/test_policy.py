"""What is made of a server's own words; ``tests/integration/gateway/check`` asks real ones."""

from typing import Any

import pytest

from gateway.check import policy, server
from gateway.telemetry.findings import Level

WELL: dict[str, Any] = {
    "redis_version": "7.2.4",
    "role": "master",
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "aof_last_bgrewrite_status": "ok",
    "rdb_last_bgsave_status": "ok",
    "maxmemory_policy": "noeviction",
    "maxmemory": 100 * 2**20,
    "used_memory": 50 * 2**20,
    "connected_clients": 10,
    "maxclients": 10_000,
}


@pytest.mark.parametrize(
    ("told", "level"),
    [("7.0.0", "ok"), ("7.2.4", "ok"), ("10.1", "ok"), ("6.2.14", "fail"), ("", "fail"), ("unstable", "fail")],
)
def test_a_server_is_redis_7_or_newer(told: str, level: str) -> None:
    assert policy.version({"redis_version": told}).level == level


def test_a_server_that_is_well_set_up_gets_no_word_of_blame() -> None:
    config = {"appendfsync": "always"}
    findings = [
        *policy.role(WELL),
        *policy.persistence(WELL, config),
        *policy.memory(WELL),
        *policy.connections(WELL),
    ]
    assert {finding.level for finding in findings} == {Level.OK}
    assert not any(finding.mend for finding in findings)


@pytest.mark.parametrize(
    ("sync", "told"), [("everysec", "a crash of Redis may cost a moment"), ("no", "a crash of Redis costs nothing")]
)
def test_a_loose_appendfsync_is_explained(sync: str, told: str) -> None:
    (finding,) = policy.persistence(WELL, {"appendfsync": sync})
    assert finding.level is Level.WARN
    assert f"appendfsync {sync}: {told}" in finding.said
    assert finding.mend


def test_a_server_that_hides_its_configuration_is_not_accused() -> None:
    (finding,) = policy.persistence(WELL, None)
    assert finding.level is Level.OK
    assert "cannot tell" in finding.said


@pytest.mark.parametrize(
    ("words", "level"),
    [
        ({"aof_enabled": 0}, Level.WARN),
        ({"aof_last_write_status": "err"}, Level.FAIL),
        ({"rdb_last_bgsave_status": "err"}, Level.WARN),
        ({"aof_last_bgrewrite_status": "err"}, Level.WARN),
    ],
)
def test_a_disk_that_loses_sessions_is_told(words: dict[str, Any], level: Level) -> None:
    findings = list(policy.persistence({**WELL, **words}, {"appendfsync": "always"}))
    assert level in {finding.level for finding in findings}
    assert all(finding.mend for finding in findings if finding.level is not Level.OK)


@pytest.mark.parametrize(("used", "level"), [(50, Level.OK), (85, Level.WARN), (99, Level.FAIL)])
def test_memory_that_runs_out_is_told(used: int, level: Level) -> None:
    *_, finding = policy.memory({**WELL, "used_memory": used * 2**20})
    assert finding.level is level


def test_a_server_that_evicts_is_told() -> None:
    finding, _ = policy.memory({**WELL, "maxmemory_policy": "allkeys-lru"})
    assert finding.level is Level.WARN


@pytest.mark.parametrize("words", [{"role": "slave"}, {"cluster_enabled": 1}])
def test_a_server_that_is_not_a_primary_of_its_own_fails(words: dict[str, Any]) -> None:
    (finding,) = policy.role({**WELL, **words})
    assert finding.level is Level.FAIL


def test_a_server_that_is_running_out_of_connections_is_told() -> None:
    (finding,) = policy.connections({**WELL, "connected_clients": 9_000})
    assert finding.level is Level.WARN


@pytest.mark.parametrize("ahead", [3.0, -3.0])
def test_clocks_apart_are_told_with_their_direction(ahead: float) -> None:
    finding = server.clock(ahead)
    assert finding.level is Level.WARN
    assert ("ahead" in finding.said) is (ahead > 0)


def test_clocks_that_agree_are_well() -> None:
    assert server.clock(0.4).level is Level.OK
