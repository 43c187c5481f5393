"""The chat page while things die or are not there yet; and its client module in a page of another origin."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from playwright.async_api import Browser, expect

from tests.browser import photo, visit
from tests.client import prompt
from tests.cluster import Gemini
from tests.e2e.conftest import Clusters
from tests.gemini_server import expected_answer
from tests.servers import free_port

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60), pytest.mark.needs_chromium]

CONNECTION = ("ERR_", "status of 50")
"""What a browser logs of a request that failed."""

FRONTEND = """\
<!doctype html><title>A frontend of its own</title><p id="answer"></p>
<script type="module">
import { GatewayClient } from "%s/client.js";
const answer = document.getElementById("answer");
const chat = new GatewayClient();
await chat.session();
await chat.attach([new File([await (await fetch("picture.png")).blob()], "picture.png", { type: "image/png" })]);
for await (const event of chat.send("hello from elsewhere")) {
  if (event.type === "text") answer.append(event.text);
  if (event.type === "done") answer.dataset.end = JSON.stringify({ ...event, history: await chat.history() });
}
</script>
"""


def _words(asked: str, count: int) -> str:
    return " ".join(expected_answer(asked).split()[:count])


@pytest.mark.needs_haproxy
async def test_a_lost_connection_is_told_and_mends_itself(browser: Browser, clusters: Clusters, gemini: Gemini) -> None:
    cluster = await clusters.start(balanced=True)
    async with visit(browser, cluster.any_url(), forgive=CONNECTION) as chat:
        asked = prompt("interrupted", "hold=4")
        await chat.say(asked)
        await chat.has(chat.answers.last, _words(asked, 4))
        cluster.kill(cluster.gateways[0])
        await expect(chat.connection).to_contain_text("The connection is lost.")
        await chat.shot("connection-lost")
        await chat.has(chat.answers.last, _words(asked, 4))
        await cluster.add_gateways()
        await expect(chat.connection).to_be_hidden()
        await gemini.release()
        await chat.ended(chat.answers.last)
        await chat.has(chat.answers.last, expected_answer(asked))
        await expect(chat.answers.last.locator(".note")).to_have_count(2)
        for note in await chat.answers.last.locator(".note").all():
            await expect(note).to_be_hidden()
        await chat.shot("connection-mended")
        assert len(await gemini.calls_about(asked)) == 1


async def test_the_text_of_a_dead_worker_is_rubbed_out_and_the_reason_told(
    browser: Browser, clusters: Clusters, gemini: Gemini
) -> None:
    cluster = await clusters.start(workers=2)
    async with visit(browser, cluster.any_url()) as chat:
        asked = prompt("taken over", "hold=5")
        await chat.say(asked)
        await chat.has(chat.answers.last, _words(asked, 5))
        call = await gemini.call_about(asked, held=True)
        cluster.kill(cluster.worker_of(call))
        note = chat.answers.last.locator(".note").first
        await expect(note).to_contain_text("The worker that was answering went away.")
        await gemini.call_about(asked, number=2, held=True, chunks=5)
        await chat.has(chat.answers.last, _words(asked, 5))
        await chat.shot("reset")
        await gemini.release()
        await chat.ended(chat.answers.last)
        await chat.has(chat.answers.last, expected_answer(asked))
        await expect(note).to_be_visible()
        await expect(chat.answers).to_have_count(1)


async def test_a_message_waits_until_somebody_can_answer_and_the_stand_in_is_told(
    browser: Browser, clusters: Clusters, gemini: Gemini
) -> None:
    cluster = await clusters.start(workers=0)
    async with visit(browser, cluster.any_url()) as chat:
        await expect(chat.page.locator("#model")).to_contain_text("no worker")
        await chat.say("Is anybody there?")
        await expect(chat.connection).to_contain_text("Nobody is there to answer just now.")
        await chat.shot("no-worker")
        await chat.page.get_by_role("button", name="Stop the answer").click()
        await expect(chat.field).to_have_value("Is anybody there?")
        await expect(chat.connection).to_be_hidden()
        await chat.field.press("Enter")
        await cluster.add_workers(GOOGLE_API_KEY="", OFFLINE_CHUNK_DELAY="0.001")
        answer = chat.answers.last
        await chat.ended(answer)
        await expect(answer).to_contain_text("Is anybody there?")
        await expect(answer.get_by_role("heading", name="Offline stand-in")).to_be_visible()
        await expect(chat.page.locator("#offline")).to_be_visible()
        await expect(chat.page.locator("#model")).to_contain_text("offline stand-in")
        await expect(chat.questions).to_have_count(1)
        await chat.shot("offline")
        await chat.page.reload()
        await expect(chat.answers.last.get_by_role("heading", name="Offline stand-in")).to_be_visible()


async def test_a_page_of_another_origin_uses_the_client_module(
    browser: Browser, clusters: Clusters, gemini: Gemini
) -> None:
    origin = f"http://127.0.0.1:{free_port()}"
    cluster = await clusters.start(gateway={"CORS_ORIGIN": origin})
    asked = "hello from elsewhere"
    async with _site(origin, FRONTEND % cluster.any_url()), await browser.new_context() as visitor:
        page = await visitor.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text))
        await page.goto(origin)
        answer = page.locator("#answer[data-end]")
        await expect(answer).to_have_text(expected_answer(asked))
        end = await answer.evaluate("it => JSON.parse(it.dataset.end)")
    assert errors == []
    assert end["finish_reason"] == "STOP"
    user, model = end["history"]
    assert user["images"][0]["url"].startswith(cluster.any_url())
    assert model["text"] == expected_answer(asked)


@asynccontextmanager
async def _site(origin: str, document: str) -> AsyncIterator[None]:
    """A website that has nothing to do with the gateway."""

    async def index(_: web.Request) -> web.Response:
        return web.Response(text=document, content_type="text/html")

    async def image(_: web.Request) -> web.Response:
        return web.Response(body=photo("picture.png")["buffer"], content_type="image/png")

    async def no_icon(_: web.Request) -> web.Response:
        return web.Response(status=204)

    app = web.Application()
    app.add_routes([web.get("/", index), web.get("/picture.png", image), web.get("/favicon.ico", no_icon)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(origin.rpartition(":")[2])).start()
    try:
        yield
    finally:
        await runner.cleanup()
