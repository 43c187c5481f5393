"""``python -m gateway check`` against real servers that are set up well, badly, and not at all."""

import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.check.command import findings
from gateway.state.connect import connect
from gateway.state.ids import new_worker_id
from gateway.state.queue import Queue
from gateway.state.records import About
from gateway.state.server import Server
from gateway.telemetry.findings import Finding, Level, tell
from tests.processes import Process, python
from tests.servers import RedisServer, free_port

SYNC_ALWAYS = ("--appendfsync", "always")
PASSWORD = "a-password-that-nobody-may-see"
Started = Callable[..., RedisServer]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    with ExitStack() as stack:

        def start(*args: str, aof: bool = True) -> RedisServer:
            return stack.enter_context(RedisServer(tmp_path, aof=aof, args=args))

        yield start


async def found(environ: Mapping[str, str]) -> dict[str, Finding]:
    """The gravest finding about each thing."""
    gravest: dict[str, Finding] = {}
    order = list(Level)
    async for finding in findings(environ):
        before = gravest.get(finding.about)
        if before is None or order.index(finding.level) > order.index(before.level):
            gravest[finding.about] = finding
    return gravest


async def levels(environ: Mapping[str, str]) -> dict[str, str]:
    return {about: finding.level.value for about, finding in (await found(environ)).items()}


async def join(server: RedisServer) -> None:
    redis = connect(server.url)
    await Queue(redis).beat(new_worker_id(), About("gemini-2.5-flash", False, 64), lifetime=60)
    await redis.aclose()


async def test_a_deployment_that_is_well_passes(started: Started) -> None:
    server = started(*SYNC_ALWAYS, "--maxmemory-policy", "noeviction")
    await join(server)

    told = await found({"REDIS_URL": server.url})

    assert {finding.level for finding in told.values()} == {Level.OK}
    assert set(told) == {
        "settings", "redis", "version", "persistence", "eviction", "memory", "clock", "workers", "queue", "key",
    }  # fmt: skip
    assert tell(told.values(), io.StringIO()) == 0


async def test_a_server_behind_a_socket_is_told_by_its_path(tmp_path: Path) -> None:
    with RedisServer(tmp_path, unix=True) as server:
        told = await found({"REDIS_URL": server.unix_url})
    assert told["redis"].said == f"{tmp_path}/socket answers, over a Unix socket"


async def test_a_server_that_forgets_is_warned_of(started: Started) -> None:
    server = started("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", aof=False)
    await join(server)
    told = await levels({"REDIS_URL": server.url})
    assert (told["persistence"], told["eviction"], told["memory"]) == ("warn", "warn", "ok")


@pytest.mark.parametrize("sync", ["everysec", "no"])
async def test_a_loose_append_only_file_is_warned_of(started: Started, sync: str) -> None:
    server = started("--appendfsync", sync)
    assert (await levels({"REDIS_URL": server.url}))["persistence"] == "warn"


async def test_memory_near_its_bound_is_warned_of(started: Started) -> None:
    server = started("--maxmemory-policy", "noeviction")
    async with server.client() as redis:
        used = int((await redis.info("memory"))["used_memory"])
        await redis.config_set("maxmemory", int(used * 1.15))
        told = await levels({"REDIS_URL": server.url})
    assert told["memory"] in ("warn", "fail")


async def test_without_workers_it_fails(started: Started) -> None:
    told = await found({"REDIS_URL": started().url})
    assert told["workers"].level is Level.FAIL
    assert tell(told.values(), io.StringIO()) == 1


async def test_a_server_that_is_not_there_fails_and_the_rest_is_not_asked() -> None:
    told = await levels({"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"})
    assert told == {"settings": "ok", "redis": "fail", "key": "ok"}


async def test_a_bad_setting_fails_by_name() -> None:
    for environ in ({"PORT": "no"}, {"REDIS_URL": "http://nowhere"}):
        [finding] = (await found(environ)).values()
        assert finding.level is Level.FAIL
        assert finding.said.startswith(next(iter(environ)))


async def test_a_wrong_password_is_told_and_none_is_printed(started: Started) -> None:
    server = started()
    async with server.client() as redis:
        await redis.config_set("requirepass", "another")
    for credentials in (f":{PASSWORD}@", ""):
        told = await found({"REDIS_URL": server.url.replace("//", f"//{credentials}")})
        assert told["redis"].level is Level.FAIL
        assert "password" in told["redis"].mend
        assert PASSWORD not in "\n".join(map(str, told.values()))


@pytest.mark.parametrize(
    ("hidden", "doubtful"), [("-config", {"persistence": "ok"}), ("-config -info", {"version": "warn"})]
)
async def test_a_managed_server_that_does_not_let_us_ask_is_not_accused(
    started: Started, hidden: str, doubtful: dict[str, str]
) -> None:
    server = started(*SYNC_ALWAYS)
    async with server.client() as redis:
        raw: Any = redis
        await raw.execute_command("ACL", "SETUSER", "app", "on", f">{PASSWORD}", "~*", "&*", "+@all", *hidden.split())
    await join(server)

    told = await found({"REDIS_URL": server.url.replace("//", f"//app:{PASSWORD}@")})

    assert {about: told[about].level.value for about in doubtful} == doubtful
    assert "cannot tell" in "\n".join(map(str, told.values()))
    assert PASSWORD not in "\n".join(map(str, told.values()))
    assert (told["workers"].level, told["queue"].level) == (Level.OK, Level.OK)


@pytest.mark.parametrize("skew", [-90.0, 0.0, 90.0])
async def test_a_skewed_clock_is_measured(started: Started, skew: float) -> None:
    redis = connect(started().url)
    ahead = await Server(redis, clock=lambda: time.time() + skew).ahead()
    await redis.aclose()
    assert ahead == pytest.approx(-skew, abs=1.0)


async def test_the_command_prints_a_line_each_and_ends_with_its_verdict(started: Started, tmp_path: Path) -> None:
    server = started(*SYNC_ALWAYS)
    environ = {"REDIS_URL": server.url, "SESSION_TTL": "60", "GOOGLE_API_KEY": PASSWORD}
    first = Process("check", [*python("gateway"), "check"], tmp_path / "check.log", environ)
    assert await first.ended() == 1
    await join(server)
    second = Process("check", [*python("gateway"), "check"], tmp_path / "check-2.log", environ)
    assert await second.ended() == 0

    lines = second.output.splitlines()
    assert lines[0] == "ok    settings     a gateway can use them: REDIS_URL, SESSION_TTL set, the rest by default"
    assert all(line.split()[0] in ("ok", "warn", "fail") for line in lines)
    assert "fail  workers" in first.output
    assert PASSWORD not in first.output + second.output


async def test_a_word_that_is_no_command_is_refused(tmp_path: Path) -> None:
    process = Process("check", [*python("gateway"), "chek"], tmp_path / "check.log")
    assert await process.ended() == 2
    assert "python -m gateway check" in process.output
