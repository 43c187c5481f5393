"""Messages that the service has not taken: nothing that somebody wrote is lost."""

import pytest
from playwright.async_api import Browser, expect

from tests.browser import Chat, photo, tab, visit
from tests.client import picture, prompt
from tests.cluster import Gemini
from tests.e2e.conftest import Clusters
from tests.gemini_server import expected_answer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60), pytest.mark.needs_chromium]


async def test_a_reload_while_pictures_are_on_their_way_keeps_the_message(chat: Chat, url: str) -> None:
    line = await chat.page.context.new_cdp_session(chat.page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 100_000}
    await line.send("Network.emulateNetworkConditions", slow)
    await chat.attach({"name": "large.png", "mimeType": "image/png", "buffer": picture((400, 400))})
    await chat.say("a picture on a slow line")
    await expect(chat.questions.last.get_by_role("progressbar", name="Upload")).to_be_visible()
    async with tab(chat.page.context, url) as second:
        await expect(second.field).to_have_value("")
    await chat.reload()
    await expect(chat.field).to_have_value("a picture on a slow line")


async def test_a_reload_between_the_pictures_and_the_message_keeps_both(
    browser: Browser, url: str, gemini: Gemini
) -> None:
    async with visit(browser, url, forgive=["ERR_"]) as chat:
        await chat.page.route("**/chat", lambda route: route.abort())
        await chat.attach(photo("sea.png"))
        asked = prompt("unsent")
        await chat.say(asked)
        await expect(chat.connection).to_be_visible()
        await chat.reload()
        await expect(chat.field).to_have_value(asked)
        await expect(chat.page.locator("#waiting-pictures")).to_be_visible()
        await expect(chat.questions).to_have_count(0)
        await chat.page.unroute("**/chat")
        await chat.field.press("Enter")
        await chat.ended(chat.answers.last)
        await chat.has(chat.answers.last, expected_answer(asked))
        await expect(chat.questions.last.locator("a img")).to_have_count(1)


async def test_whoever_has_asked_enough_for_today_is_told_at_once(
    browser: Browser, clusters: Clusters, gemini: Gemini
) -> None:
    cluster = await clusters.start(gateway={"RATE_SESSION_TURNS_DAILY": "1/86400"})
    async with visit(browser, cluster.any_url(), forgive=["status of 429"]) as chat:
        asked = prompt("failing", "status=503 times=2")
        await chat.say(asked)
        failure = chat.answers.last.locator(".failure")
        await failure.get_by_role("button", name="Try again").click()
        await expect(failure).to_contain_text("You have asked as much as this service allows in a day")
        await expect(failure.get_by_role("button", name="Try again")).to_be_visible()
        await chat.say("one more")
        await expect(chat.problem).to_contain_text("You have asked as much as this service allows in a day")
        await expect(chat.field).to_have_value("one more")
        await expect(chat.questions.last.locator(".bubble")).to_have_text(asked)
        await chat.shot("quota")
