"""Traces, as a collector gets them from real gateways and workers."""

import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.client import User, prompt
from tests.cluster import Cluster, Gemini
from tests.e2e.conftest import Clusters
from tests.gemini_server import Script
from tests.otlp import Collector, Span, collector
from tests.processes import Process, python
from tests.servers import free_port

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]

MODEL = "gemini-2.5-flash"
EVENTS = {"Accept": "text/event-stream"}
PROCESS, CHAT = "process turn", f"chat {MODEL}"


def settings(url: str) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "100"}


def traceparent() -> tuple[str, str, str]:
    """One that a browser may send, its trace's id and its span's."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return f"00-{trace}-{span}-01", trace, span


@dataclass(frozen=True)
class Traced:
    cluster: Cluster
    collector: Collector

    async def spans(self, trace: str, *wanted: str) -> list[Span]:
        """Those of a trace, as soon as there are all of the names (as often as they are given)."""

        def there() -> bool:
            names = [span.name for span in self.collector.of(trace)]
            return all(names.count(name) >= wanted.count(name) for name in wanted)

        await self.collector.until(there)
        return self.collector.of(trace)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def traced(stand_in: Gemini, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Traced]:
    async with collector() as found:
        directory, on = tmp_path_factory.mktemp("traces"), settings(found.url)
        async with Cluster(directory, stand_in, gateway={**on, "LOG_LEVEL": "debug"}, worker=on) as cluster:
            yield Traced(cluster, found)


def one(spans: list[Span], name: str) -> Span:
    [span] = [span for span in spans if span.name == name]
    return span


async def test_one_trace_goes_from_the_browsers_request_through_the_queue_to_gemini(traced: Traced) -> None:
    header, trace, caller = traceparent()
    async with User(traced.cluster.any_url) as user:
        body = {"message": prompt("traced", "chunks=3")}
        answer = await user.call("POST", "/chat", json=body, headers={**EVENTS, "traceparent": header})
        assert answer.status == 200
    spans = await traced.spans(trace, "POST /chat", PROCESS, CHAT)
    assert len(spans) == 3
    served, processed, called = one(spans, "POST /chat"), one(spans, PROCESS), one(spans, CHAT)
    assert [span.kind for span in (served, processed, called)] == ["server", "consumer", "client"]
    assert [span.service for span in (served, processed, called)] == [
        "gemini-gateway",
        "gemini-worker",
        "gemini-worker",
    ]
    assert (served.parent, processed.parent, called.parent) == (caller, served.id, processed.id)
    turn = answer.headers["X-Turn-Id"]
    assert served.attributes["gateway.turn.id"] == processed.attributes["gateway.turn.id"] == turn
    assert served.attributes["http.request.method"] == "POST"
    assert served.attributes["http.route"] == "/chat"
    assert served.attributes["http.response.status_code"] == 200
    assert (processed.attributes["gateway.turn.attempt"], processed.attributes["gateway.turn.end"]) == (1, "done")
    assert not any(span.failed for span in spans)


async def test_a_trace_begins_with_the_message_and_the_stream_that_has_it_answered_is_linked_to_it(
    traced: Traced,
) -> None:
    """EventSource sends no ``traceparent``: what a page can trace is its POST."""
    header, trace, _ = traceparent()
    before = len(traced.collector.named("GET /stream"))
    async with User(traced.cluster.any_url) as user:
        body = {"message": prompt("begun", "chunks=2")}
        (await user.call("POST", "/chat", json=body, headers={"traceparent": header})).okay  # noqa: B018
        async with user.stream() as reader:
            await reader.until("done")
    spans = await traced.spans(trace, "POST /chat", PROCESS, CHAT)
    assert one(spans, PROCESS).parent == one(spans, "POST /chat").id
    named = traced.collector.named
    await traced.collector.until(lambda: len(named("GET /stream")) == before + 1)
    assert trace in named("GET /stream")[-1].links


async def test_the_models_call_is_told_by_the_conventions_for_generative_ai(traced: Traced) -> None:
    header, trace, _ = traceparent()
    async with User(traced.cluster.any_url) as user:
        body = {"prompt": prompt("conventions", "chunks=3"), "response_mime_type": "text/plain"}
        (await user.call("POST", "/generate_text", json=body, headers={"traceparent": header})).okay  # noqa: B018
    spans = await traced.spans(trace, "POST /generate_text", PROCESS, CHAT)
    told = one(spans, CHAT).attributes
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.provider.name"] == "gcp.gemini"
    assert told["gen_ai.request.model"] == told["gen_ai.response.model"] == MODEL
    assert told["gen_ai.response.finish_reasons"] == ["STOP"]
    assert told["gen_ai.usage.input_tokens"] > 0
    assert told["gen_ai.usage.output_tokens"] > 0
    assert told["server.address"] == "127.0.0.1"


async def test_a_stream_that_joins_a_running_turn_is_linked_to_its_trace(traced: Traced, gemini: Gemini) -> None:
    before = len(traced.collector.named("GET /stream"))
    about = prompt("joined", "chunks=4 hold=2")
    async with User(traced.cluster.any_url) as user:
        await user.chat(about)
        async with user.stream() as first:
            await gemini.call_about(about, held=True)
            async with user.stream("?begin=0&secret=in-the-query") as second:
                await second.until(lambda event: event.type == "message")
                await gemini.release()
                await first.until(lambda event: event.type == "done")
                await second.until(lambda event: event.type == "done")
    named = traced.collector.named
    await traced.collector.until(lambda: len(named("GET /stream")) == before + 2)
    began, joined = named("GET /stream")[-2:]
    assert began.links == joined.links
    [turns] = joined.links
    assert turns not in (began.trace, joined.trace)
    spans = await traced.spans(turns, "POST /chat", PROCESS)
    assert one(spans, PROCESS).parent == one(spans, "POST /chat").id


async def test_a_second_attempt_is_a_span_beside_the_first(traced: Traced) -> None:
    header, trace, _ = traceparent()
    async with User(traced.cluster.any_url) as user:
        body = {"message": prompt("broken", "chunks=4 fault=reset at=2 times=1")}
        await user.call("POST", "/chat", json=body, headers={**EVENTS, "traceparent": header})
    spans = await traced.spans(trace, "POST /chat", PROCESS, PROCESS, CHAT, CHAT)
    attempts = sorted(
        (span for span in spans if span.name == PROCESS), key=lambda span: int(span.attributes["gateway.turn.attempt"])
    )
    assert [span.attributes["gateway.turn.attempt"] for span in attempts] == [1, 2]
    assert [span.attributes["gateway.turn.end"] for span in attempts] == ["retry", "done"]
    assert [span.failed for span in attempts] == [True, False]
    assert {span.parent for span in attempts} == {one(spans, "POST /chat").id}
    calls = {span.parent: span for span in spans if span.name == CHAT}
    assert calls[attempts[0].id].attributes["error.type"] == "unavailable"
    assert "error.type" not in calls[attempts[1].id].attributes


async def test_a_failed_turn_says_why(traced: Traced, gemini: Gemini) -> None:
    header, trace, _ = traceparent()
    about = prompt("refused")
    await gemini.script(Script(block="SAFETY"), match=about)
    async with User(traced.cluster.any_url) as user:
        await user.call("POST", "/chat", json={"message": about}, headers={**EVENTS, "traceparent": header})
    spans = await traced.spans(trace, "POST /chat", PROCESS, CHAT)
    assert one(spans, PROCESS).attributes["error.type"] == "blocked"
    assert one(spans, CHAT).failed


async def test_a_traceparent_that_cannot_be_read_begins_a_trace_of_our_own(traced: Traced) -> None:
    seen = len(traced.collector.named("GET /session"))
    async with User(traced.cluster.any_url) as user:
        await user.call("GET", "/session", headers={"traceparent": "00-zz-yy-01"})
    await traced.collector.until(lambda: len(traced.collector.named("GET /session")) > seen)
    assert traced.collector.named("GET /session")[-1].parent == ""


async def test_probes_and_strangers_paths_make_no_names_of_their_own(traced: Traced) -> None:
    async with User(traced.cluster.any_url) as user:
        await user.call("GET", "/readyz")
        await user.call("GET", "/a-path-that-nobody-made")
    await traced.collector.until(lambda: bool(traced.collector.named("GET")))
    assert not [span for span in traced.collector.spans if "readyz" in span.name or "nobody" in span.name]


async def test_the_log_names_the_trace_on_both_sides(traced: Traced) -> None:
    header, trace, _ = traceparent()
    async with User(traced.cluster.any_url) as user:
        body = {"message": prompt("logged", "chunks=1")}
        await user.call("POST", "/chat", json=body, headers={**EVENTS, "traceparent": header})
    await traced.spans(trace, "POST /chat", PROCESS)
    for process, event in ((traced.cluster.gateways[0], '"request"'), (traced.cluster.workers[0], '"turn ended"')):
        assert [line for line in process.output.splitlines() if trace in line and event in line]


async def test_no_span_holds_what_was_said_or_what_opens_a_session(traced: Traced) -> None:
    header, trace, _ = traceparent()
    about = prompt("unspoken", "chunks=2")
    async with User(traced.cluster.any_url) as user:
        await user.call("POST", "/chat", json={"message": about}, headers={"traceparent": header})
        answer = await user.call("GET", "/stream?x=in-the-query", headers=EVENTS)
        spoken = answer.body.decode().partition("data: ")[2].partition("\n")[0]
        cookies = [cookie.value for cookie in user.jar]
    await traced.spans(trace, "POST /chat", PROCESS, CHAT)
    assert cookies
    assert spoken
    for secret in (about.encode(), spoken.encode(), b"in-the-query", *(cookie.encode() for cookie in cookies)):
        assert secret not in traced.collector.raw


async def test_a_turn_that_is_handed_over_shows_both_workers_and_a_drain_sends_its_spans(
    clusters: Clusters, gemini: Gemini
) -> None:
    about = prompt("handed over", "chunks=4 hold=2 times=1")
    async with collector() as found:
        lazy = {"OTEL_EXPORTER_OTLP_ENDPOINT": found.url, "OTEL_BSP_SCHEDULE_DELAY": "60000"}
        cluster = await clusters.start(gateway=lazy, worker={**lazy, "GRACE_SECONDS": "0"})
        async with User(cluster.any_url) as user:
            await user.chat(about)
            async with user.stream() as reader:
                call = await gemini.call_about(about, held=True)
                await cluster.add_workers(1)
                await cluster.retire(cluster.worker_of(call))
                await reader.until(lambda event: event.type == "done")
        [first] = found.named(PROCESS)
        assert first.attributes["gateway.turn.end"] == "put_back"
        assert not first.failed
        await cluster.retire(cluster.workers[0])
        await cluster.retire(cluster.gateways[0])
        [_, second] = found.named(PROCESS)
        assert second.attributes["gateway.turn.attempt"] == 2
        assert second.trace == first.trace
        [asked] = found.named("POST /chat")
        assert first.parent == second.parent == asked.id


async def test_a_collector_that_cannot_be_reached_costs_nothing_and_is_told_once(clusters: Clusters) -> None:
    on = {
        **settings(f"http://127.0.0.1:{free_port()}"),
        "OTEL_BSP_MAX_QUEUE_SIZE": "16",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8",
    }
    cluster = await clusters.start(gateway=on, worker=on)
    async with User(cluster.any_url) as user:
        for _ in range(40):
            began = time.monotonic()
            assert (await user.call("GET", "/session")).status == 200
            assert time.monotonic() - began < 1
        assert (await user.ask(prompt("untraced", "chunks=1"))).events[-1].type == "done"
    began = time.monotonic()
    for process in (*cluster.gateways, *cluster.workers):
        process.terminate()
        assert await process.ended(15.0) == 0
    assert time.monotonic() - began < 12
    for process in (*cluster.gateways, *cluster.workers):
        complaints = [line for line in process.output.splitlines() if "tracing_trouble" in line]
        assert len(complaints) <= 1
        assert "Traceback" not in process.output
    assert "tracing_trouble" in cluster.gateways[0].output


@pytest.mark.parametrize("module", ["gateway", "workers"])
async def test_a_protocol_that_is_not_spoken_is_told_in_one_line(module: str, tmp_path: Path) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    process = Process(module, python(module), tmp_path / f"{module}.log", environ)
    try:
        assert await process.ended() == 2
    finally:
        process.kill()
    assert process.output.strip().splitlines()[-1].startswith("OTEL_EXPORTER_OTLP_PROTOCOL: Expected http/protobuf")
