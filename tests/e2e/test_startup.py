"""Processes started in any order, and what a wrong setting says."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.client import User, prompt
from tests.cluster import Cluster, Gemini
from tests.gemini_server import expected_answer
from tests.processes import Process, found, python

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(loop_scope="session")
async def unborn(gemini: Gemini, tmp_path: Path) -> AsyncIterator[Cluster]:
    """A cluster that nobody has started anything of but Redis, which is gone again."""
    async with Cluster(tmp_path, gemini, gateways=0, workers=0) as cluster:
        cluster.server.kill()
        yield cluster


async def test_gateways_and_workers_wait_for_redis_and_say_so(unborn: Cluster) -> None:
    worker = unborn.start_worker()
    [gateway] = await unborn.add_gateways()

    async with User(gateway.url) as user:
        assert (await user.call("GET", "/")).okay["status"] == "healthy"
        ready = await user.call("GET", "/readyz")
        assert (ready.status, ready.json["redis"]) == (200, False)
        (await user.call("GET", "/session")).refused(503, "unavailable")

        async def both_said() -> bool:
            return "redis" in worker.output.lower() and "redis" in gateway.output.lower()

        await found(both_said, "both to say that Redis is missing")
        unborn.server.start()

        async def complete() -> bool:
            said = (await user.call("GET", "/readyz")).json
            return said["redis"] is True and said["workers"] == 1

        await found(complete, "both to find Redis")
        asked = prompt("at last")
        assert (await user.ask(asked)).text == expected_answer(asked)


async def test_a_gateway_without_workers_says_so_and_serves_once_one_has_come(unborn: Cluster) -> None:
    unborn.server.start()
    [gateway] = await unborn.add_gateways()
    async with User(gateway.url) as user:
        assert (await user.call("GET", "/readyz")).json["workers"] == 0
        refused = await user.call("POST", "/chat", json={"message": "Anybody?"})
        refused.refused(503, "no_worker")
        assert int(refused.headers["Retry-After"]) > 0
        (await user.generate_text("Anybody?")).refused(503, "no_worker")
        await unborn.add_workers()
        asked = prompt("now")
        assert (await user.ask(asked)).text == expected_answer(asked)


async def test_a_worker_without_a_key_answers_offline_and_everything_says_so(unborn: Cluster) -> None:
    unborn.server.start()
    worker = unborn.start_worker(GOOGLE_API_KEY="", OFFLINE_CHUNK_DELAY="0")
    [gateway] = await unborn.add_gateways()
    await found(unborn.living_workers, "the worker to be ready")
    async with User(gateway.url) as user:
        reader = await user.ask(asked := prompt("Is anybody there?"))
        assert asked in reader.text
        assert json.loads((await reader.until("done")).data)["offline"] is True
        assert (await user.session())["offline"] is True
    assert "offline" in worker.output
    assert await unborn.gemini.calls_about(asked) == []


async def test_a_server_taken_over_from_another_time_keeps_its_conversations(unborn: Cluster) -> None:
    """All processes killed at once, as by a power cut; then all started again."""
    unborn.server.start()
    [gateway], [worker] = await unborn.add_gateways(), await unborn.add_workers()
    asked = [prompt("before"), prompt("after")]
    async with User(lambda: unborn.gateways[0].url) as user:
        await user.ask(asked[0])
        unborn.kill(gateway)
        unborn.kill(worker)
        unborn.server.restart()
        await unborn.add_workers()
        await unborn.add_gateways()
        await user.ask(asked[1])
        assert await user.conversation() == [
            line for text in asked for line in (("user", text), ("model", expected_answer(text)))
        ]


@pytest.mark.parametrize(
    ("module", "variable", "value"),
    [
        ("gateway", "PORT", "http"),
        ("gateway", "PORT", "70000"),
        ("gateway", "REDIS_URL", "http://localhost"),
        ("gateway", "REDIS_URL", "redis+cluster://one,two"),
        ("gateway", "CORS_ORIGIN", "frontend"),
        ("gateway", "SESSION_TTL", "-1"),
        ("workers", "REDIS_URL", "redis+sentinel://one,two/master"),
        ("workers", "WORKER_CONCURRENCY", "0"),
        ("workers", "GEMINI_TEMPERATURE", "hot"),
        ("workers", "GOOGLE_GEMINI_BASE_URL", "gemini"),
    ],
)
async def test_a_wrong_setting_ends_the_process_with_one_line_that_names_it(
    tmp_path: Path, module: str, variable: str, value: str
) -> None:
    process = Process(module, python(module), tmp_path / "log", {variable: value})
    try:
        status = await process.ended()
    finally:
        process.kill()
    [line] = process.output.splitlines()
    assert line.startswith(f"{variable}: ")
    assert status not in (0, -9)


async def test_a_redis_password_is_not_shown(tmp_path: Path) -> None:
    environ = {"REDIS_URL": "redis+cluster://user:sesame@one"}
    process = Process("gateway", python("gateway"), tmp_path / "log", environ)
    try:
        await process.ended()
    finally:
        process.kill()
    assert "REDIS_URL" in process.output
    assert "sesame" not in process.output
