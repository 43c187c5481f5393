"""The API key: in the workers' memory, in their calls to Gemini, and nowhere else."""

import secrets
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.client import User, prompt
from tests.cluster import Cluster, Gemini
from tests.gemini_server import Script

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]

KEY = f"AQ.{secrets.token_hex(16)}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def talkative(stand_in: Gemini, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Everything is logged, and the key comes from a file."""
    directory = tmp_path_factory.mktemp("secrets")
    place = directory / "key"
    place.write_text(f"{KEY}\n")
    worker = {"GOOGLE_API_KEY": "", "GOOGLE_API_KEY_FILE": str(place), "RETRY_LIMIT": "1", "LOG_LEVEL": "debug"}
    async with Cluster(directory, stand_in, worker=worker, gateway={"LOG_LEVEL": "debug"}) as cluster:
        yield cluster


@pytest.mark.parametrize(
    "script",
    [
        Script(status=400, reason="API_KEY_INVALID", message=f"API key not valid: {KEY}"),
        Script(status=403, message=f"Consumer 'api_key:{KEY}' has been suspended."),
        Script(status=500, body=f"<h1>{KEY}</h1>"),
        Script(fault="error", status=429, message=f"Quota of {KEY} exceeded"),
        Script(fault="garbage"),
        Script(fault="reset", at=-1),
        Script(block="SAFETY"),
    ],
    ids=["invalid", "suspended", "body", "quota", "garbage", "reset", "blocked"],
)
async def test_a_failing_call_tells_nobody_the_key(talkative: Cluster, gemini: Gemini, script: Script) -> None:
    about = prompt("secret")
    await gemini.script(script, match=about, times=10)
    async with User(talkative.any_url) as user:
        reader = await user.ask(about)
        assert reader.events[-1].type == "failed"
        shown = [reader.events[-1].data, str(await user.session()), str(await user.history())]
        shown.append((await user.generate_text(about)).body.decode())
    [call, *_] = await gemini.calls_about(about)
    assert call.key == KEY
    # All that was ever written to Redis.
    stored = "".join(file.read_text(errors="replace") for file in (talkative._directory / "redis").rglob("*.aof"))
    assert about in stored
    logs = [process.output for process in (*talkative.workers, *talkative.gateways)]
    assert "call failed" in logs[0]
    for text in (*shown, *logs, stored):
        assert KEY not in text
