"""What gateway and worker tell Prometheus of what users did."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.client import User, picture, prompt
from tests.cluster import Cluster, Gemini
from tests.e2e.conftest import Clusters
from tests.gemini_server import Script
from tests.processes import Process, found, python
from tests.scrape import HOST, Scrape, rise, scrape
from tests.servers import free_port

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]

MODEL = "gemini-2.5-flash"


@dataclass(frozen=True)
class Ports:
    gateway: int
    worker: int


@dataclass(frozen=True)
class Watched:
    cluster: Cluster
    ports: Ports

    async def scrape(self) -> tuple[Scrape, Scrape]:
        """The gateway's and the worker's."""
        return await scrape(self.ports.gateway), await scrape(self.ports.worker)


def ports() -> Ports:
    return Ports(free_port(), free_port())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watched(stand_in: Gemini, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    at = ports()
    async with Cluster(
        tmp_path_factory.mktemp("metrics"),
        stand_in,
        gateway={"METRICS_PORT": str(at.gateway), "RATE_SESSION_TURNS": "3/60"},
        worker={"METRICS_PORT": str(at.worker), "RETRY_LIMIT": "2", "GEMINI_FALLBACK_MODELS": "gemini-2.5-pro"},
    ) as cluster:
        yield Watched(cluster, at)


async def test_a_turn_moves_the_figures_of_gateway_and_worker(watched: Watched, gemini: Gemini) -> None:
    gateway, worker = await watched.scrape()
    async with User(watched.cluster.any_url) as user:
        reader = await user.ask(prompt("metrics", "chunks=5 words=3"))
        assert reader.events[-1].type == "done"
    after, worker_after = await watched.scrape()
    told = partial(rise, gateway, after)
    assert told("gateway_http_requests_total", method="POST", route="/chat", code="200") == 1
    assert told("gateway_http_requests_total", method="GET", route="/stream", code="200") == 1
    assert told("gateway_http_request_duration_seconds_count", route="/chat") == 1
    assert {"route": "/stream"} not in after.labels("gateway_http_request_duration_seconds_count")
    assert told("gateway_turns_begun_total", kind="chat") == 1
    assert told("gateway_stream_events_total", kind="done") == 1
    assert told("gateway_stream_events_total", kind="text") >= 1
    assert told("gateway_stream_sent_bytes_total") > 50
    assert told("gateway_stream_first_chunk_seconds_count") == 1
    assert told("gateway_redis_command_seconds_count") > 0
    assert after("gateway_streams_open") == 0
    assert after("gateway_redis_up") == 1
    assert after("gateway_workers") == 1
    told = partial(rise, worker, worker_after)
    assert told("worker_turns_total", end="done") == 1
    assert told("worker_attempts_total", cause="first") == 1
    assert told("worker_claim_latency_seconds_count") == 1
    assert told("worker_time_to_first_chunk_seconds_count", model=MODEL) == 1
    assert told("worker_upstream_duration_seconds_count", model=MODEL) == 1
    assert told("worker_chunks_total") >= 5
    assert told("worker_tokens_total", model=MODEL, kind="input") > 0
    assert told("worker_tokens_total", model=MODEL, kind="output") > 0
    assert told("worker_commit_seconds_count") > 0
    assert told("worker_commit_entries_sum") >= 2
    assert worker_after("worker_turn_capacity") == 64
    assert worker_after("worker_redis_up") == 1


async def test_what_is_open_is_told_while_it_is_open(watched: Watched, gemini: Gemini) -> None:
    about = prompt("open", "chunks=4 hold=2")
    async with User(watched.cluster.any_url) as user:
        await user.chat(about)
        async with user.stream() as reader:
            await gemini.call_about(about, held=True)
            await reader.until(lambda event: event.type == "message")
            gateway, worker = await watched.scrape()
            assert gateway("gateway_streams_open") == 1
            assert worker("worker_turns_running") == 1
            await asyncio.sleep(1.1)  # the queue is looked at once a second
            assert (await watched.scrape())[0]("gateway_turns_live") == 1
            await gemini.release()
            await reader.until(lambda event: event.type == "done")


async def test_images_are_counted_as_they_came(watched: Watched) -> None:
    before, _ = await watched.scrape()
    async with User(watched.cluster.any_url) as user:
        image = picture()
        await user.upload(image)
        form = aiohttp.FormData()
        form.add_field("file", b"no image", filename="x.png")
        (await user.call("POST", "/upload", data=form)).refused(415, "not_an_image")
    after, _ = await watched.scrape()
    assert rise(before, after, "gateway_images_total", outcome="accepted") == 1
    assert rise(before, after, "gateway_images_total", outcome="refused") == 1
    assert rise(before, after, "gateway_image_bytes_total") == len(image)
    assert rise(before, after, "gateway_errors_total", code="not_an_image") == 1


async def test_a_refusal_by_rate_is_counted_by_policy(watched: Watched, gemini: Gemini) -> None:
    before, _ = await watched.scrape()
    async with User(watched.cluster.any_url) as user:
        for _ in range(3):
            await user.ask(prompt("rate", "chunks=1"))
        await user.chat(prompt("one too many"))
        (await user.call("GET", "/stream")).refused(429, "too_many_requests")
    after, _ = await watched.scrape()
    assert rise(before, after, "gateway_rate_limit_refusals_total", policy="turns_a_minute") == 1
    assert rise(before, after, "gateway_turns_refused_total", reason="rate") == 1


async def test_a_failure_is_counted_where_it_happened(watched: Watched, gemini: Gemini) -> None:
    _, before = await watched.scrape()
    gateway_before, _ = await watched.scrape()
    about = prompt("failing")
    await gemini.script(Script(status=400, message="no"), match=about, times=0)
    async with User(watched.cluster.any_url) as user:
        reader = await user.ask(about)
        assert reader.events[-1].type == "failed"
    gateway_after, after = await watched.scrape()
    assert rise(before, after, "worker_turns_total", end="failed") == 1
    assert rise(before, after, "worker_failures_total", code="bad_request") == 1
    assert rise(before, after, "worker_upstream_errors_total", model=MODEL, code="bad_request") == 1
    assert rise(gateway_before, gateway_after, "gateway_stream_events_total", kind="failed") == 1


async def test_retries_fallbacks_and_new_attempts_are_counted(watched: Watched, gemini: Gemini) -> None:
    _, before = await watched.scrape()
    about = prompt("fallback")
    await gemini.script(Script(status=503), match=about, model=MODEL, times=0)
    async with User(watched.cluster.any_url) as user:
        assert (await user.ask(about)).events[-1].type == "done"
        broken = prompt("broken", "chunks=4 fault=reset at=2 times=1")
        assert (await user.ask(broken)).events[-1].type == "done"
    _, after = await watched.scrape()
    assert rise(before, after, "worker_upstream_retries_total", model=MODEL) == 2  # the broken answer's, too
    assert rise(before, after, "worker_fallbacks_total", model="gemini-2.5-pro") == 1
    assert rise(before, after, "worker_upstream_errors_total", model=MODEL, code="unavailable") == 3
    assert rise(before, after, "worker_attempts_total", cause="retry") == 1


async def test_a_resumed_stream_is_counted(watched: Watched, gemini: Gemini) -> None:
    before, _ = await watched.scrape()
    async with User(watched.cluster.any_url) as user:
        reader = await user.ask(prompt("resume", "chunks=3"))
        first = next(event for event in reader.events if event.type == "message")
        async with user.stream(last_event_id=first.last_event_id) as again:
            await again.until(lambda event: event.type == "done")
    after, _ = await watched.scrape()
    assert rise(before, after, "gateway_stream_resumes_total") == 1
    assert rise(before, after, "gateway_stream_first_chunk_seconds_count") == 1


async def test_series_are_as_many_as_routes_whatever_strangers_ask_for(watched: Watched) -> None:
    async with User(watched.cluster.any_url) as user:
        for i in range(20):
            assert (await user.call("GET", f"/nowhere-{i}")).status == 404
        await user.call("FROBNICATE", "/chat")
    after, _ = await watched.scrape()
    counted = after.labels("gateway_http_requests_total")
    assert {"method": "GET", "route": "other", "code": "404"} in counted
    assert not [labels for labels in counted if "nowhere" in labels["route"]]
    assert not [labels for labels in counted if labels["method"] == "FROBNICATE"]


async def test_the_public_port_knows_no_metrics_and_the_other_one_nothing_else(watched: Watched) -> None:
    async with User(watched.cluster.any_url) as user:
        (await user.call("GET", "/metrics")).refused(404, "not_found")
    async with aiohttp.ClientSession() as http:
        for path in ("/", "/readyz", "/session", "/metrics/x"):
            async with http.get(f"http://{HOST}:{watched.ports.gateway}{path}") as answer:
                assert answer.status == 404
        async with http.post(f"http://{HOST}:{watched.ports.gateway}/metrics") as answer:
            assert answer.status == 405


async def test_the_format_is_the_one_that_is_asked_for(watched: Watched) -> None:
    url = f"http://{HOST}:{watched.ports.worker}/metrics"
    async with aiohttp.ClientSession() as http:
        async with http.get(url, headers={"Accept": "application/openmetrics-text; version=1.0.0"}) as answer:
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            assert (await answer.text()).endswith("# EOF\n")
        async with http.get(url) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")


async def test_without_redis_a_scrape_says_so(clusters: Clusters) -> None:
    at = ports()
    cluster = await clusters.start(gateway={"METRICS_PORT": str(at.gateway)}, worker={"METRICS_PORT": str(at.worker)})
    assert (await scrape(at.gateway))("gateway_redis_up") == 1
    cluster.server.kill()

    async def away() -> bool:
        gateway, worker = await scrape(at.gateway), await scrape(at.worker)
        gone = gateway("gateway_redis_up") == 0 and worker("worker_redis_up") == 0
        return gone and not gateway.has("gateway_queue_depth")

    await found(away, "both to see that Redis is away")
    cluster.server.start()

    async def back() -> bool:
        gateway, worker = await scrape(at.gateway), await scrape(at.worker)
        return gateway("gateway_redis_up") == 1 and worker("worker_redis_up") == 1

    await found(back, "both to see that Redis is back")
    assert (await scrape(at.gateway))("gateway_redis_reconnects_total") >= 1


async def test_a_draining_gateway_and_worker_still_tell(clusters: Clusters, gemini: Gemini) -> None:
    at = ports()
    cluster = await clusters.start(
        gateway={"METRICS_PORT": str(at.gateway), "DRAIN_NOTICE_SECONDS": "2"},
        worker={"METRICS_PORT": str(at.worker), "GRACE_SECONDS": "5"},
    )
    about = prompt("drain", "chunks=4 hold=2")
    async with User(cluster.any_url) as user:
        await user.chat(about)
        async with user.stream():
            await gemini.call_about(about, held=True)
            for process in (cluster.workers[0], cluster.gateways[0]):
                process.terminate()
                await found(partial(_said, process, "draining"), "the drain to begin")
            assert (await scrape(at.worker))("worker_turns_running") == 1
            assert (await scrape(at.gateway))("gateway_streams_open") == 1
            await gemini.release()
    assert await cluster.workers[0].ended() == 0
    assert await cluster.gateways[0].ended() == 0


async def _said(process: Process, word: str) -> bool:
    return word in process.output


@pytest.mark.parametrize("module", ["gateway", "workers"])
async def test_a_metrics_port_in_use_is_told_in_one_line(module: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        environ = {"METRICS_PORT": str(taken.getsockname()[1])}
        process = Process(module, python(module), tmp_path / f"{module}.log", environ)
        try:
            assert await process.ended() == 2
        finally:
            process.kill()
    last = process.output.strip().splitlines()[-1]
    assert last.startswith("METRICS_HOST, METRICS_PORT: cannot listen on ")
    assert "Traceback" not in process.output


async def test_nothing_listens_unless_it_is_asked_for(cluster: Cluster) -> None:
    for process in (*cluster.gateways, *cluster.workers):
        assert "metrics_exposed" not in process.output
