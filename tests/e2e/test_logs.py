"""What gateway and worker log of a live run, and what they never do."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.client import User, picture, prompt
from tests.cluster import Cluster, Gemini
from tests.gemini_server import Script
from tests.processes import Process, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def talkative(stand_in: Gemini, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """All is logged that can be."""
    loud = {"LOG_LEVEL": "debug"}
    async with Cluster(tmp_path_factory.mktemp("logs"), stand_in, gateway=loud, worker=loud) as cluster:
        yield cluster


def lines(process: Process, event: str, **holding: Any) -> list[dict[str, Any]]:
    """The lines of one kind; all lines are JSON, as no terminal reads them."""
    every: list[dict[str, Any]] = [json.loads(line) for line in process.output.splitlines()]
    return [line for line in every if line["event"] == event and holding.items() <= line.items()]


async def line(process: Process, event: str, **holding: Any) -> dict[str, Any]:
    await until(lambda: bool(lines(process, event, **holding)), f"{event} {holding}")
    [found] = lines(process, event, **holding)
    return found


async def test_a_request_is_one_line_with_its_route_status_time_and_turn(talkative: Cluster) -> None:
    [gateway] = talkative.gateways
    async with User(talkative.any_url) as user:
        answer = await user.call(
            "POST", "/chat", json={"message": prompt("logged", "chunks=2")}, headers={"Accept": "text/event-stream"}
        )
        missing = await user.call("GET", "/images/0123?secret=in-the-query")
    told = await line(gateway, "request", request_id=answer.headers["X-Request-Id"])
    assert (told["method"], told["route"], told["path"], told["status"]) == ("POST", "/chat", "/chat", 200)
    assert told["turn"] == answer.headers["X-Turn-Id"]
    assert isinstance(told["ms"], int)
    assert (told["level"], told["timestamp"][-1]) == ("info", "Z")
    told = await line(gateway, "request", request_id=missing.headers["X-Request-Id"])
    assert (told["path"], told["status"]) == ("/images/0123", 404)
    assert told["route"].startswith("/images/{")
    assert "turn" not in told
    assert "in-the-query" not in gateway.output


async def test_a_turns_end_is_one_line_with_its_times_and_tokens(talkative: Cluster, gemini: Gemini) -> None:
    [worker] = talkative.workers
    about = prompt("retried", "chunks=4 delay=0.02")
    await gemini.script(Script(status=503), match=about, times=1)
    async with User(talkative.any_url) as user:
        headers = {"Accept": "text/event-stream"}
        turn = (await user.call("POST", "/chat", json={"message": about}, headers=headers)).headers["X-Turn-Id"]
    told = await line(worker, "turn ended", turn=turn)
    assert (told["end"], told["attempt"], told["retries"], told["model"]) == ("done", 1, 1, "gemini-2.5-flash")
    assert 0 <= told["waited_ms"] < 5000
    assert 0 < told["first_chunk_ms"] <= told["total_ms"]
    assert told["usage"]["output_tokens"] > 0
    assert len(lines(worker, "call failed", turn=turn)) == 1


async def test_a_probe_is_no_news(talkative: Cluster) -> None:
    [gateway] = talkative.gateways
    await until(lambda: bool(lines(gateway, "request", path="/readyz")), "a probe's line")
    assert {told["level"] for told in lines(gateway, "request", path="/readyz")} == {"debug"}


async def test_the_servers_own_lines_have_the_same_form(talkative: Cluster) -> None:
    [gateway] = talkative.gateways
    every = [json.loads(told) for told in gateway.output.splitlines()]
    assert [told for told in every if told["event"].startswith("Running on ")]
    assert all({"event", "level", "timestamp"} <= set(told) for told in every)


async def test_no_line_holds_what_was_said_or_what_opens_a_session(talkative: Cluster, gemini: Gemini) -> None:
    said = [prompt("whispered"), prompt("broken", "chunks=4 fault=reset at=2 times=1"), prompt("refused")]
    await gemini.script(Script(status=400, message=f"cannot read {said[2]}"), match=said[2], times=0)
    texts, cookies = [], []
    async with User(talkative.any_url) as user:
        await user.upload(picture(), name="my-cat.png")
        for message in said:
            reader = await user.ask(message)
            texts += [event.data for event in reader.events if event.type == "message"]
        await user.generate_text(said[0])
        await user.call("GET", f"/stream?last_event_id={said[0]}")
        cookies = [cookie.value for cookie in user.jar]
    assert cookies
    assert len(texts) > 2
    for process in (*talkative.gateways, *talkative.workers):
        for secret in (*said, *(text for text in texts if len(text) > 8), *cookies, "my-cat"):
            assert secret not in process.output, process.name
