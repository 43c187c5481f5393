"""Answers that are hard to show: the page bears them, and goes on."""

import pytest
from playwright.async_api import Browser, expect

from tests.browser import PHONE, Chat, photo, visit
from tests.client import prompt
from tests.cluster import Gemini
from tests.gemini_server import Script, expected_answer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60), pytest.mark.needs_chromium]

MILLISECONDS = """async (text) => {
  const { Prose } = await import("/ui/markdown.js");
  const began = performance.now();
  new Prose(document.createElement("div")).set(text);
  return performance.now() - began;
}"""


@pytest.mark.parametrize("deep", [">" * 5000 + " end", "- " * 3000 + "end"], ids=["quotes", "lists"])
async def test_what_is_nested_too_deep_is_shown_as_it_is(chat: Chat, gemini: Gemini, deep: str) -> None:
    await gemini.script(Script(text=deep, chunks=3))
    answer = await chat.ask("Something deep, please.")
    await expect(answer.locator(".prose")).to_have_text(deep)
    await chat.reload()
    await expect(answer.locator(".prose")).to_have_text(deep)
    asked = prompt("and on")
    await chat.has(await chat.ask(asked), expected_answer(asked))


@pytest.mark.parametrize("unit", ["*a_", "**a *b ", "~~a", "![", "[a](", "> - "])
async def test_no_long_answer_makes_the_page_stand_still(browser: Browser, url: str, unit: str) -> None:
    async with visit(browser, url) as chat:
        assert await chat.page.evaluate(MILLISECONDS, unit * (30_000 // len(unit))) < 3000


@pytest.mark.parametrize("size", [(320, 256), (844, 390), (390, 480)], ids=["zoomed", "lying", "with-its-keyboard"])
async def test_a_long_draft_with_many_pictures_fits_a_low_screen(
    browser: Browser, url: str, size: tuple[int, int]
) -> None:
    width, height = size
    async with visit(browser, url, **{**PHONE, "viewport": {"width": width, "height": height}}) as chat:
        await chat.attach(*(photo(f"{number}.png", (200, 150), number / 8) for number in range(8)))
        await expect(chat.page.locator("#tray img")).to_have_count(8)
        await chat.field.fill("a long draft " * 120)
        await chat.shot(f"draft-{width}x{height}")
        for name in ("New conversation", "Send", "Add pictures"):
            await expect(chat.page.get_by_role("button", name=name)).to_be_in_viewport(ratio=1)
        scroller, page = await chat.page.evaluate(
            "[document.getElementById('scroller').clientHeight, document.documentElement.scrollHeight - innerHeight]"
        )
        assert scroller >= 20
        assert page <= 0


async def test_the_first_step_up_lets_go_of_the_end(chat: Chat, gemini: Gemini) -> None:
    """A wheel's scrolling comes in small steps; an answer that grew between them would pull back each."""
    asked = prompt("long", "chunks=60 words=40 hold=30")
    await chat.say(asked)
    await gemini.call_about(asked, held=True)
    await expect(chat.answers.last.locator(".prose")).to_contain_text(f" {30 * 40 - 1}.")
    scroller = chat.page.locator("#scroller")
    await chat.until("it => it.scrollHeight - it.scrollTop - it.clientHeight < 2", scroller)
    place = await scroller.evaluate("it => it.scrollTop -= 30")
    await expect(chat.page.get_by_role("button", name="Go to the latest message")).to_be_visible()
    await gemini.release()
    await chat.ended(chat.answers.last)
    assert await scroller.evaluate("it => it.scrollTop") == place
