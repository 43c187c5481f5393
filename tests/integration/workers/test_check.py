"""``python -m workers check`` against the stand-in Gemini, which takes one key."""

import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from gateway.telemetry.findings import Finding, Level
from tests.gemini_server import GeminiServer
from tests.processes import Process, python
from tests.servers import RedisServer, free_port
from workers.check import findings

GOOD, BAD = "a-key-that-is-taken", "a-key-that-nobody-may-see"


@pytest.fixture
async def gemini() -> AsyncIterator[GeminiServer]:
    async with GeminiServer(key=GOOD) as gemini:
        yield gemini


@pytest.fixture
def environ(server: RedisServer, gemini: GeminiServer) -> dict[str, str]:
    return {"REDIS_URL": server.url, "GOOGLE_API_KEY": GOOD, "GOOGLE_GEMINI_BASE_URL": gemini.url}


async def found(environ: Mapping[str, str]) -> list[Finding]:
    return [finding async for finding in findings(environ)]


def said_of_key(told: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.level.value, finding.about) for finding in told if finding.about in ("key", "fallback")]


async def test_a_key_that_gemini_takes_passes(environ: dict[str, str]) -> None:
    told = await found(environ)
    assert {finding.level for finding in told} == {Level.OK}
    assert [finding.about for finding in told] == ["settings", "redis", "key"]


async def test_a_key_that_gemini_refuses_fails_and_is_not_printed(environ: dict[str, str]) -> None:
    told = await found({**environ, "GOOGLE_API_KEY": BAD})
    assert said_of_key(told) == [("fail", "key")]
    assert "unauthorized" in told[-1].said
    assert BAD not in "\n".join(map(str, told))


async def test_a_server_is_told_by_where_it_is_reached(tmp_path: Path, environ: dict[str, str]) -> None:
    with RedisServer(tmp_path, unix=True) as server:
        told = await found({**environ, "REDIS_URL": server.unix_url})
    assert told[1].said == f"{tmp_path}/socket answers"


async def test_every_model_is_looked_up(environ: dict[str, str]) -> None:
    told = await found({**environ, "GEMINI_FALLBACK_MODELS": "gemini-2.5-pro, palm-2, gemini-embedding-001"})
    assert said_of_key(told) == [("ok", "key"), ("ok", "fallback"), ("fail", "fallback"), ("fail", "fallback")]
    assert "not_found" in told[-2].said
    assert "answers no messages" in told[-1].said


async def test_without_a_key_the_offline_model_is_warned_of(environ: dict[str, str]) -> None:
    told = await found({**environ, "GOOGLE_API_KEY": ""})
    assert said_of_key(told) == [("warn", "key")]


async def test_a_gemini_that_cannot_be_reached_fails(environ: dict[str, str], gemini: GeminiServer) -> None:
    await gemini.refuse()
    told = await found(environ)
    assert said_of_key(told) == [("fail", "key")]
    assert "unavailable" in told[-1].said


async def test_an_address_that_is_not_gemini_fails(environ: dict[str, str], gemini: GeminiServer) -> None:
    told = await found({**environ, "GOOGLE_GEMINI_BASE_URL": f"{gemini.url}/elsewhere"})
    assert said_of_key(told) == [("fail", "key")]


async def test_a_redis_that_is_away_does_not_hide_what_is_wrong_with_the_key(environ: dict[str, str]) -> None:
    told = await found({**environ, "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0", "GOOGLE_API_KEY": BAD})
    assert [(finding.level.value, finding.about) for finding in told] == [
        ("ok", "settings"),
        ("fail", "redis"),
        ("fail", "key"),
    ]


async def test_a_bad_setting_fails_by_name(environ: dict[str, str]) -> None:
    (finding,) = await found({**environ, "GEMINI_TEMPERATURE": "hot"})
    assert finding.level is Level.FAIL
    assert finding.said.startswith("GEMINI_TEMPERATURE")


async def test_the_command_ends_with_its_verdict(environ: dict[str, str], tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(GOOD)
    environ = {**environ, "GOOGLE_API_KEY": "", "GOOGLE_API_KEY_FILE": str(key_file)}
    good = Process("check", [*python("workers"), "check"], tmp_path / "good.log", environ)
    assert await good.ended() == 0, good.output
    bad = Process("check", [*python("workers"), "check"], tmp_path / "bad.log", {**environ, "REDIS_URL": "nowhere"})
    assert await bad.ended() == 1
    assert GOOD not in good.output + bad.output


async def test_a_word_that_is_no_command_is_refused(tmp_path: Path) -> None:
    process = Process("worker", [*python("workers"), secrets.token_hex(4)], tmp_path / "log")
    assert await process.ended() == 2
    assert "usage: python -m workers" in process.output
