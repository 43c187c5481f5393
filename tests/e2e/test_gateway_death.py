"""A gateway dies: its readers go on elsewhere, each at its own place."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.client import User, prompt
from tests.cluster import Cluster, Gemini
from tests.e2e.conftest import Clusters
from tests.eventsource import EventSource
from tests.gemini_server import expected_answer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lasting(stand_in: Gemini, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path_factory.mktemp("gateway-death"), stand_in, gateways=2) as cluster:
        yield cluster


@pytest_asyncio.fixture(loop_scope="session")
async def cluster(lasting: Cluster, gemini: Gemini) -> Cluster:
    """Two gateways and a worker, whoever died in the tests before."""
    await lasting.complete(gateways=2, workers=1)
    return lasting


def _roaming(cluster: Cluster, user: User) -> EventSource:
    """An event source that asks the first gateway first, and later any that lives."""
    first = [cluster.gateways[0].url]
    return EventSource(lambda: (first.pop() if first else cluster.any_url()) + "/stream", user.jar)


async def test_readers_of_a_killed_gateway_go_on_elsewhere_without_a_word_lost_doubled_or_reset(
    cluster: Cluster, gemini: Gemini
) -> None:
    asked = prompt("bereaved", "hold=5 chunks=10")
    async with User(cluster.any_url) as user, AsyncExitStack() as stack:
        await user.chat(asked)
        readers = [await stack.enter_async_context(_roaming(cluster, user)) for _ in range(6)]
        for reader in readers:
            await reader.when(lambda reader=reader: len(reader.text.split()) == 5)  # type: ignore[misc]
        cluster.kill(cluster.gateways[0])
        await gemini.release()
        for reader in readers:
            await reader.until("done")
        assert await user.conversation() == [("user", asked), ("model", expected_answer(asked))]

    for reader in readers:
        assert reader.text == expected_answer(asked)
        assert reader.types() == ["done"]
        assert reader.connections[1].last_event_id != ""
    assert len(await gemini.calls_about(asked)) == 1


async def test_a_gateway_killed_while_words_flow_costs_none_of_them(cluster: Cluster, gemini: Gemini) -> None:
    """Many users at once, each cut off at whatever place its stream happens to have."""
    prompts = [prompt(f"user {number}", "chunks=80 delay=0.02") for number in range(10)]
    under_way = asyncio.Semaphore(0)

    async def follow(asked: str) -> EventSource:
        words = random.randint(5, 30)
        async with User(cluster.any_url) as user:
            await user.chat(asked)
            async with _roaming(cluster, user) as reader:
                await reader.when(lambda: len(reader.text.split()) >= words)
                under_way.release()
                await reader.until("done")
        return reader

    async with asyncio.TaskGroup() as group:
        follows = [group.create_task(follow(asked)) for asked in prompts]
        for _ in prompts:
            await under_way.acquire()
        cluster.kill(cluster.gateways[0])

    for asked, reader in zip(prompts, (task.result() for task in follows), strict=True):
        assert reader.text == expected_answer(asked)
        assert reader.types() == ["done"]
        assert reader.connections[1].last_event_id != ""
        assert len(await gemini.calls_about(asked)) == 1


async def test_a_turn_whose_gateway_dies_before_the_first_word_is_answered(cluster: Cluster, gemini: Gemini) -> None:
    asked = prompt("orphaned", "hold=-1")
    async with User(cluster.any_url) as user:
        await user.chat(asked)
        async with _roaming(cluster, user) as reader:
            await gemini.call_about(asked, held=True)
            await reader.when(lambda: reader.last_event_id != "")
            cluster.kill(cluster.gateways[0])
            await gemini.release()
            await reader.until("done")
    assert reader.text == expected_answer(asked)
    assert len(await gemini.calls_about(asked)) == 1


async def test_readers_wait_for_a_new_gateway_where_there_was_but_one(cluster: Cluster, gemini: Gemini) -> None:
    await cluster.retire(cluster.gateways[0])
    asked = prompt("alone", "hold=2")
    async with User(cluster.gateways[0].url) as user:
        await user.chat(asked)
        async with user.stream() as reader:
            await reader.when(lambda: len(reader.text.split()) == 2)
            dead = cluster.gateways[0]
            cluster.kill(dead)
            await gemini.release()
            await gemini.ended(await gemini.call_about(asked))
            await cluster.add_gateways(PORT=str(dead.port))
            await reader.until("done")
    assert reader.text == expected_answer(asked)
    assert len(await gemini.calls_about(asked)) == 1


@pytest.mark.needs_haproxy
async def test_behind_haproxy_an_event_source_never_notices(clusters: Clusters, gemini: Gemini) -> None:
    cluster = await clusters.start(gateways=3, balanced=True)
    asked = prompt("balanced", "hold=4")
    async with User(cluster.any_url) as user, AsyncExitStack() as stack:
        await user.chat(asked)
        readers = [await stack.enter_async_context(user.stream()) for _ in range(6)]
        for reader in readers:
            await reader.when(lambda reader=reader: len(reader.text.split()) == 4)  # type: ignore[misc]
        cluster.kill(cluster.gateways[0])
        cluster.kill(cluster.gateways[0])
        await gemini.release()
        for reader in readers:
            await reader.until("done")
    assert [reader.text for reader in readers] == [expected_answer(asked)] * 6
    assert sum(len(reader.connections) > 1 for reader in readers) >= 4
    assert {kind for reader in readers for kind in reader.types()} == {"done"}
    assert len(await gemini.calls_about(asked)) == 1
