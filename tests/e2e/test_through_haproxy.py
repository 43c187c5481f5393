"""The whole product behind the real HAProxy with the product's own configuration."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.client import User, picture, prompt
from tests.cluster import Cluster, Gemini
from tests.gemini_server import expected_answer
from tests.tcp import connection, post

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60), pytest.mark.needs_haproxy]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def balanced(stand_in: Gemini, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    directory = tmp_path_factory.mktemp("balanced")
    async with Cluster(directory, stand_in, gateways=3, workers=2, balanced=True) as cluster:
        yield cluster


@pytest_asyncio.fixture(loop_scope="session")
async def user(balanced: Cluster, gemini: Gemini) -> AsyncIterator[User]:
    async with User(balanced.any_url) as user:
        yield user


async def test_a_conversation_with_pictures_goes_through(user: User, gemini: Gemini) -> None:
    asked = [prompt("first"), prompt("second")]
    await user.upload(picture())
    for text in asked:
        assert (await user.ask(text)).text == expected_answer(text)
    assert [text for role, text in await user.conversation() if role == "user"] == asked
    [message, *_] = await user.history()
    assert (await user.call("GET", message["images"][0]["url"])).status == 200


async def test_words_arrive_while_the_answer_is_being_given(user: User, gemini: Gemini) -> None:
    asked = prompt("slowly", "hold=3")
    await user.chat(asked)
    async with user.stream() as reader:
        await reader.when(lambda: len(reader.text.split()) == 3)
        await gemini.release()
        await reader.until("done")
        assert (await reader.until_closed()).status == 204
    assert reader.text == expected_answer(asked)


async def test_readers_of_one_turn_are_spread_over_all_replicas(balanced: Cluster, user: User, gemini: Gemini) -> None:
    asked = prompt("crowd", "hold=2")
    await user.chat(asked)
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(user.stream()) for _ in range(9)]
        for reader in readers:
            await reader.when(lambda reader=reader: len(reader.text.split()) == 2)  # type: ignore[misc]
        await gemini.release()
        for reader in readers:
            await reader.until("done")
    assert [reader.text for reader in readers] == [expected_answer(asked)] * 9
    assert balanced.balancer is not None
    log = balanced.balancer.log.read_text()
    assert all(f"gateways/gateway{number}" in log for number in (1, 2, 3))


async def test_a_caller_of_generate_text_who_hangs_up_has_the_call_cancelled(balanced: Cluster, gemini: Gemini) -> None:
    asked = prompt("unwanted", "hold=2")
    host, _, port = balanced.any_url().removeprefix("http://").partition(":")
    async with connection(host, int(port)) as (_, writer):
        writer.write(post("/generate_text", {"prompt": asked}))
        call = await gemini.call_about(asked, held=True)
    assert (await gemini.ended(call)).ended == "disconnected"


async def test_errors_come_through_as_the_gateway_says_them(user: User) -> None:
    (await user.call("GET", "/stream")).refused(409, "nothing_pending")
    (await user.call("GET", "/nowhere")).refused(404, "not_found")
    (await user.call("POST", "/chat", json={})).refused(400, "bad_request")
