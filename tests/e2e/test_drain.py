"""SIGTERM: a gateway hands its readers over, a worker its turns; nobody loses a word."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
import pytest_asyncio

from tests.client import User, prompt
from tests.cluster import Cluster, Gateway, Gemini
from tests.e2e.conftest import Clusters
from tests.eventsource import EventSource
from tests.gemini_server import expected_answer
from tests.processes import found

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lasting(stand_in: Gemini, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """A gateway and a worker that stay; each test adds a gateway of its own, to drain it."""
    async with Cluster(tmp_path_factory.mktemp("drain"), stand_in) as cluster:
        yield cluster


def _roaming(leaving: Gateway, staying: Gateway, user: User) -> EventSource:
    """An event source that asks the leaving gateway first, and later the other."""
    urls = [leaving.url, staying.url]
    return EventSource(lambda: (urls.pop(0) if len(urls) > 1 else urls[0]) + "/stream", user.jar)


async def _gateway(cluster: Cluster, **environ: str) -> Gateway:
    """One that is no member: its test ends it."""
    [gateway] = await cluster.add_gateways(1, **environ)
    cluster.gateways.remove(gateway)
    return gateway


async def _refuses(cluster: Cluster, gateway: Gateway) -> bool:
    """Whether the gateway accepts no connection any more."""
    try:
        async with cluster.http.get(gateway.url):
            return False
    except aiohttp.ClientConnectionError:
        return True


async def _says_that_it_drains(cluster: Cluster, gateway: Gateway) -> bool:
    async with cluster.http.get(f"{gateway.url}/readyz") as answer:
        return answer.status == 503 and (await answer.json())["status"] == "draining"


async def test_a_draining_gateway_says_so_serves_on_and_then_hands_its_readers_over(
    lasting: Cluster, gemini: Gemini
) -> None:
    [staying] = lasting.gateways
    leaving = await _gateway(lasting, DRAIN_NOTICE_SECONDS="1.5")
    asked = prompt("handed over", "hold=3")
    async with User(leaving.url) as user, AsyncExitStack() as stack:
        await user.chat(asked)
        readers = [await stack.enter_async_context(_roaming(leaving, staying, user)) for _ in range(8)]
        for reader in readers:
            await reader.when(lambda reader=reader: len(reader.text.split()) == 3)  # type: ignore[misc]

        leaving.terminate()
        await found(lambda: _says_that_it_drains(lasting, leaving), "/readyz to say 503", 1.0)
        assert (await user.call("GET", "/session", at=leaving.url)).status == 200
        late = await stack.enter_async_context(_roaming(leaving, staying, user))
        await late.when(lambda: len(late.text.split()) == 3)

        assert await leaving.ended() == 0
        await gemini.release()
        for reader in (*readers, late):
            await reader.until("done")

    for reader in (*readers, late):
        assert reader.text == expected_answer(asked)
        assert reader.types() == ["done"]
        assert re.search(rb"\n\n(id: [^\n]*\n)?retry: \d+\n\n$", reader.connections[0].raw), "closed between two events"
    said = {re.findall(rb"retry: (\d+)", reader.connections[0].raw)[-1] for reader in readers}
    assert len(said) > 1, "they are not all told to come back at the same moment"
    assert len(await gemini.calls_about(asked)) == 1


async def test_a_draining_gateway_finishes_the_requests_in_flight(lasting: Cluster, gemini: Gemini) -> None:
    leaving = await _gateway(lasting)
    asked = prompt("in flight", "hold=3")
    async with User(leaving.url) as user, asyncio.TaskGroup() as group:
        answer = group.create_task(user.generate_text(asked))
        await gemini.call_about(asked, held=True)
        leaving.terminate()
        await found(lambda: _refuses(lasting, leaving), "the gateway to accept nothing more")
        await gemini.release()
    assert answer.result().okay == {"generated_text": expected_answer(asked, json=True)}
    assert await leaving.ended() == 0


async def test_a_gateway_ends_by_its_deadline_whatever_is_open(lasting: Cluster, gemini: Gemini) -> None:
    leaving = await _gateway(lasting, DRAIN_SECONDS="1.5")
    asked = prompt("endless", "hold=3")
    async with User(leaving.url) as user, asyncio.TaskGroup() as group:
        answer = group.create_task(user.generate_text(asked))
        call = await gemini.call_about(asked, held=True)
        leaving.terminate()
        assert await leaving.ended(6.0) == 0
        assert (await gemini.ended(call)).ended == "disconnected"
    answer.result().refused(503, "draining")


@pytest.mark.parametrize("second", ["SIGTERM", "SIGINT"])
async def test_a_second_signal_hurries_a_gateway(lasting: Cluster, gemini: Gemini, second: str) -> None:
    leaving = await _gateway(lasting, DRAIN_NOTICE_SECONDS="30", DRAIN_SECONDS="50")
    asked = prompt("hurried", "hold=3")
    async with User(leaving.url) as user:
        await user.chat(asked)
        async with user.stream() as reader:
            await reader.when(lambda: len(reader.text.split()) == 3)
            leaving.terminate()
            await found(lambda: _says_that_it_drains(lasting, leaving), "/readyz to say 503")
            if second == "SIGINT":
                leaving.interrupt()
            else:
                leaving.terminate()
            assert await leaving.ended(5.0) == 0


async def test_a_draining_worker_finishes_what_it_can_and_begins_nothing_new(
    clusters: Clusters, gemini: Gemini
) -> None:
    cluster = await clusters.start(workers=2, worker={"GRACE_SECONDS": "30"})
    running, new = prompt("running", "hold=3"), prompt("new")
    async with User(cluster.any_url) as user, User(cluster.any_url) as other:
        await user.chat(running)
        async with user.stream() as reader:
            leaving = cluster.worker_of(await gemini.call_about(running, held=True))
            leaving.terminate()
            await found(lambda: _resigned(cluster), "the worker to resign")
            for _ in range(3):
                await other.ask(new)
            await gemini.release()
            await reader.until("done")
        assert await leaving.ended() == 0
    assert reader.text == expected_answer(running)
    assert reader.types() == ["done"]
    assert leaving.key not in {call.key for call in await gemini.calls_about(new)}


async def _resigned(cluster: Cluster) -> bool:
    return len(await cluster.living_workers()) < len(cluster.workers)


async def test_what_a_draining_worker_cannot_finish_goes_on_elsewhere_at_once_and_does_not_count(
    clusters: Clusters, gemini: Gemini
) -> None:
    """With a lease of a minute and a single attempt allowed, only a hand-over can end this turn well."""
    settings = {"GRACE_SECONDS": "0.2", "LEASE_SECONDS": "60", "TURN_ATTEMPTS": "1"}
    cluster = await clusters.start(workers=2, worker=settings)
    asked = prompt("put back", "hold=3 times=1")
    async with User(cluster.any_url) as user:
        await user.chat(asked)
        async with user.stream() as reader:
            call = await gemini.call_about(asked, held=True)
            await reader.when(lambda: len(reader.text.split()) == 3)
            await cluster.retire(cluster.worker_of(call))
            await reader.until("done")
        assert await user.conversation() == [("user", asked), ("model", expected_answer(asked))]
    assert reader.text == expected_answer(asked)
    assert reader.types() == ["reset", "done"]
    assert [event.data for event in reader.events if event.type == "reset"] == [
        '{"attempt":2,"reason":"worker_drained"}'
    ]
    assert (await gemini.ended(call)).ended == "disconnected"


@pytest.mark.parametrize("second", ["SIGTERM", "SIGINT"])
async def test_a_second_signal_hurries_a_worker(clusters: Clusters, gemini: Gemini, second: str) -> None:
    cluster = await clusters.start(workers=2, worker={"GRACE_SECONDS": "50", "LEASE_SECONDS": "60"})
    asked = prompt("hurried", "hold=3 times=1")
    async with User(cluster.any_url) as user:
        await user.chat(asked)
        async with user.stream() as reader:
            leaving = cluster.worker_of(await gemini.call_about(asked, held=True))
            leaving.terminate()
            await found(lambda: _resigned(cluster), "the worker to resign")
            if second == "SIGINT":
                leaving.interrupt()
            else:
                leaving.terminate()
            assert await leaving.ended(5.0) == 0
            await reader.until("done")
    assert reader.text == expected_answer(asked)


async def test_idle_processes_end_at_once_and_leave_no_trace(clusters: Clusters) -> None:
    cluster = await clusters.start(workers=1, worker={"GRACE_SECONDS": "50"})
    await cluster.retire(cluster.workers[0], patience=5.0)
    await cluster.retire(cluster.gateways[0], patience=5.0)
    assert await cluster.redis.keys("*") == []


@pytest.mark.needs_haproxy
@pytest.mark.timeout(120)
async def test_a_rolling_deploy_of_everything_under_load_loses_nothing(clusters: Clusters, gemini: Gemini) -> None:
    cluster = await clusters.start(
        gateways=2, workers=2, balanced=True, gateway={"DRAIN_NOTICE_SECONDS": "3", "DRAIN_SECONDS": "10"}
    )
    deployed = asyncio.Event()

    async def converse(number: int) -> list[tuple[str, EventSource]]:
        turns = []
        async with User(cluster.any_url) as user:
            while not deployed.is_set():
                asked = prompt(f"user {number}", f"chunks={random.randint(5, 60)} delay=0.05")
                turns.append((asked, await user.ask(asked)))
            said = [text for role, text in await user.conversation() if role == "user"]
        assert said == [asked for asked, _ in turns]
        return turns

    async with asyncio.TaskGroup() as group:
        visits = [group.create_task(converse(number)) for number in range(10)]
        for gateway, worker in zip(tuple(cluster.gateways), tuple(cluster.workers), strict=True):
            await cluster.add_gateways()
            await cluster.add_workers()
            assert cluster.balancer is not None
            await cluster.balancer.sees(*(each.host for each in cluster.gateways))
            await asyncio.gather(cluster.retire(gateway), cluster.retire(worker))
        deployed.set()

    turns = [turn for visit in visits for turn in visit.result()]
    assert len(turns) >= 20
    for asked, reader in turns:
        assert reader.text == expected_answer(asked)
    calls = Counter(call.text for call in await gemini.calls() if call.text.startswith("user "))
    for asked, reader in turns:
        assert calls[asked] == 1 + reader.types().count("reset"), "only what was put back is asked again"
