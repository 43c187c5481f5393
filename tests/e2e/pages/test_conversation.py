"""The chat page as its user has it: turns, pictures, reloads, tabs, the keyboard."""

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.browser import Chat, photo, tab, visit
from tests.client import picture, prompt
from tests.cluster import Gemini
from tests.gemini_server import Script, expected_answer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60), pytest.mark.needs_chromium]

ANSWER = """\
## Two ways

There are **two** ways, and [the manual](https://example.com/manual) knows both:

1. in the *process*
2. in `Redis`

```python
@lru_cache(maxsize=1024)
def price(item: str) -> float:
    return lookup(item)
```

| Way | Latency |
|:--|--:|
| process | 50 ns |
| Redis | 300 µs |

- [x] measured
- [ ] deployed

> A cache is a promise that you know when to forget.
"""


async def _begin_held(chat: Chat, gemini: Gemini, *, chunks: int = 4) -> tuple[str, Locator]:
    """Sends a message whose answer halts after so many words; its text, and the answer."""
    asked = prompt("halting", f"hold={chunks}")
    await chat.say(asked)
    await gemini.call_about(asked, held=True)
    await chat.has(chat.answers.last, " ".join(expected_answer(asked).split()[:chunks]))
    return asked, chat.answers.last


async def test_an_answer_is_shown_as_markdown_with_code_to_copy(chat: Chat, gemini: Gemini) -> None:
    await chat.shot("empty")
    await gemini.script(Script(text=ANSWER, chunks=40))
    answer = await chat.ask("How can I cache a price list, and which way is faster?")
    prose = answer.locator(".prose")
    await expect(prose.locator("h4")).to_have_text("Two ways")
    await expect(prose.locator("strong")).to_have_text("two")
    await expect(prose.locator("ol > li")).to_have_text(["in the process", "in Redis"])
    await expect(prose.locator("pre code")).to_contain_text("def price(item: str) -> float:")
    await expect(prose.locator("tbody tr").last).to_have_text("Redis 300 µs")
    link = prose.get_by_role("link", name="the manual")
    await expect(link).to_have_attribute("href", "https://example.com/manual")
    await expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")

    await chat.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await prose.get_by_role("button", name="Copy the code").click()
    await expect(prose.locator(".copy")).to_have_text("Copied")
    assert "def price" in await chat.page.evaluate("navigator.clipboard.readText()")
    await answer.get_by_role("button", name="Copy the answer").click()
    await expect(answer.locator(".facts .copy")).to_have_text("Copied")
    assert (await chat.page.evaluate("navigator.clipboard.readText()")).strip() == ANSWER.strip()
    await chat.shot("turn")


async def test_words_show_while_the_answer_is_being_given(chat: Chat, gemini: Gemini) -> None:
    asked, answer = await _begin_held(chat, gemini)
    await expect(answer).to_have_attribute("aria-busy", "true")
    await expect(chat.page.get_by_role("button", name="Stop the answer")).to_be_visible()
    await expect(chat.page.get_by_role("button", name="Send")).to_be_hidden()
    await chat.shot("streaming")
    await gemini.release()
    await chat.ended(answer)
    await chat.has(answer, expected_answer(asked))
    await expect(answer).to_have_attribute("aria-busy", "false")
    await expect(chat.page.locator("#announcer")).to_contain_text("Gemini:")
    await expect(answer.locator(".facts")).to_contain_text("gemini-2.5-flash")
    await expect(chat.page.locator("#tokens")).to_contain_text("tokens used")


async def test_a_picture_is_sent_and_shown_again_after_a_reload(chat: Chat, gemini: Gemini) -> None:
    await chat.attach(photo("harbour.png"), photo("boat.png", (300, 500), 0.75))
    tray = chat.page.get_by_role("list", name="Pictures to send")
    await expect(tray.locator("img")).to_have_count(2)
    await tray.get_by_role("button", name="Remove boat.png").click()
    await chat.attach(photo("lighthouse.png", hue=0.95))
    await expect(tray.locator("img")).to_have_count(2)
    await chat.field.fill("What is in these?")
    await chat.shot("image-tray")
    asked = prompt("pictures")
    answer = await chat.ask(asked)
    call = await gemini.call_about(asked)
    assert sum(part.startswith("<image/") for part in call.messages[-1][1]) == 2
    await chat.has(answer, expected_answer(asked))
    shown = chat.questions.last.locator("a img")
    await expect(shown).to_have_count(2)
    await chat.shot("image-turn")

    await chat.reload()
    await expect(shown).to_have_count(2)
    for image in await shown.all():
        await chat.until("it => it.naturalWidth > 0", image)
    await expect(chat.questions.last.locator(".bubble")).to_have_text(asked)
    await chat.has(chat.answers.last, expected_answer(asked))


async def test_the_upload_tells_how_far_it_is_and_can_be_stopped(chat: Chat, gemini: Gemini) -> None:
    # As over a slow line.
    line = await chat.page.context.new_cdp_session(chat.page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 100_000}
    await line.send("Network.emulateNetworkConditions", slow)
    await chat.attach({"name": "large.png", "mimeType": "image/png", "buffer": picture((400, 400))})
    await chat.say("a picture on a slow line")
    bar = chat.questions.last.get_by_role("progressbar", name="Upload")
    await chat.until("it => it.value > 0.1 && it.value < 1", bar)
    await expect(chat.questions.last.locator(".sending")).to_contain_text("Uploading…")
    await chat.shot("upload")
    await chat.page.keyboard.press("Escape")
    await expect(chat.questions).to_have_count(0)
    await expect(chat.field).to_have_value("a picture on a slow line")
    await expect(chat.page.locator("#tray img")).to_have_count(1)


async def test_pictures_come_by_drop_and_by_paste(chat: Chat) -> None:
    give = """async ([kind, bytes]) => {
      const held = new DataTransfer();
      held.items.add(new File([new Uint8Array(bytes)], `${kind}.png`, { type: "image/png" }));
      if (kind === "drop") {
        dispatchEvent(new DragEvent("dragover", { dataTransfer: held, cancelable: true }));
        dispatchEvent(new DragEvent("drop", { dataTransfer: held, cancelable: true }));
      } else document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: held, cancelable: true }));
    }"""
    for kind in ("drop", "paste"):
        await chat.page.evaluate(give, [kind, list(picture())])
        await expect(chat.page.get_by_role("button", name=f"Remove {kind}.png")).to_be_visible()
    await expect(chat.page.locator("#tray img")).to_have_count(2)
    await chat.page.get_by_role("button", name="Send").click()  # pictures may go without a word
    await chat.ended(chat.answers.last)
    await expect(chat.questions.last.locator("a img")).to_have_count(2)


async def test_a_page_that_finds_the_service_away_shows_it_as_soon_as_it_is_back(
    browser: Browser, url: str, gemini: Gemini
) -> None:
    async with visit(browser, url, forgive=["ERR_"]) as chat:
        asked = prompt("before")
        await chat.ask(asked)
        await chat.page.route("**/session", lambda route: route.abort())
        await chat.page.reload()
        await expect(chat.connection).to_contain_text("The service cannot be reached.")
        await chat.page.unroute("**/session")
        await expect(chat.questions.last).to_contain_text(asked)
        await expect(chat.connection).to_be_hidden()


async def test_what_is_no_picture_is_told_and_the_message_is_kept(browser: Browser, url: str, gemini: Gemini) -> None:
    async with visit(browser, url, forgive=["415"]) as chat:
        await chat.attach({"name": "notes.pdf", "mimeType": "application/pdf", "buffer": b"%PDF"})
        await expect(chat.problem).to_contain_text("Only pictures can be added")
        await chat.attach({"name": "fake.png", "mimeType": "image/png", "buffer": b"no picture at all"})
        await chat.say("what is this?")
        await expect(chat.problem).not_to_be_empty()
        await expect(chat.field).to_have_value("what is this?")
        await expect(chat.questions).to_have_count(0)
        await chat.shot("refused")


async def test_a_reload_in_mid_answer_goes_on_where_it_was(chat: Chat, gemini: Gemini) -> None:
    await chat.attach(photo("sea.png"))
    asked, _ = await _begin_held(chat, gemini)
    await chat.reload()
    await chat.has(chat.answers.last, " ".join(expected_answer(asked).split()[:4]))
    await expect(chat.questions.last.locator(".bubble")).to_have_text(asked)
    await expect(chat.questions.last.locator("img")).to_have_count(1)
    await expect(chat.page.get_by_role("button", name="Stop the answer")).to_be_visible()
    await chat.shot("reload")
    await gemini.release()
    await chat.ended(chat.answers.last)
    await chat.has(chat.answers.last, expected_answer(asked))
    await expect(chat.answers).to_have_count(1)
    assert len(await gemini.calls_about(asked)) == 1


async def test_a_second_tab_follows_live(chat: Chat, url: str, gemini: Gemini) -> None:
    async with tab(chat.page.context, url) as second:
        asked, _ = await _begin_held(chat, gemini)
        await expect(second.questions.last.locator(".bubble")).to_have_text(asked)
        await second.has(second.answers.last, " ".join(expected_answer(asked).split()[:4]))
        async with tab(chat.page.context, url) as third:
            await third.has(third.answers.last, " ".join(expected_answer(asked).split()[:4]))
            await second.shot("second-tab")
            await gemini.release()
            for one in (chat, second, third):
                await one.ended(one.answers.last)
                await one.has(one.answers.last, expected_answer(asked))
                await expect(one.answers).to_have_count(1)
        assert len(await gemini.calls_about(asked)) == 1


async def test_stop_keeps_what_has_come(chat: Chat, gemini: Gemini) -> None:
    asked, answer = await _begin_held(chat, gemini)
    await chat.page.get_by_role("button", name="Stop the answer").click()
    await chat.ended(answer)
    await expect(answer.locator(".ending")).to_have_text("You stopped this answer.")
    await chat.has(answer, " ".join(expected_answer(asked).split()[:4]))
    await expect(chat.page.get_by_role("button", name="Send")).to_be_visible()
    await expect(chat.field).to_be_focused()
    await chat.shot("stopped")
    assert (await gemini.ended(await gemini.call_about(asked))).ended == "disconnected"
    await chat.reload()
    await expect(answer.locator(".ending")).to_have_text("You stopped this answer.")


async def test_a_failed_message_can_be_tried_again_with_its_picture(chat: Chat, gemini: Gemini) -> None:
    asked = prompt("failing", "status=503 times=2")
    await chat.attach(photo("sea.png"))
    await chat.say(asked)
    failure = chat.answers.last.locator(".failure")
    await expect(failure).to_contain_text("Please try again in a moment.")
    await expect(chat.page.locator("#waiting-pictures")).to_be_visible()
    await chat.shot("failed")
    await chat.reload()
    await expect(chat.questions.last.locator(".bubble")).to_have_text(asked)
    await failure.get_by_role("button", name="Try again").click()
    await chat.ended(chat.answers.last)
    await chat.has(chat.answers.last, expected_answer(asked))
    await expect(failure).to_be_hidden()
    await expect(chat.questions.last.locator("a img")).to_have_count(1)
    await expect(chat.answers).to_have_count(1)


async def test_a_refusal_can_be_edited_and_sent_anew(chat: Chat, gemini: Gemini) -> None:
    await chat.say(prompt("refused", "block=SAFETY"))
    failure = chat.answers.last.locator(".failure")
    await expect(failure).to_contain_text("SAFETY")
    await expect(failure.get_by_role("button", name="Try again")).to_have_count(0)
    await failure.get_by_role("button", name="Edit").click()
    await expect(chat.field).to_be_focused()
    asked = prompt("milder")
    await chat.ask(asked)
    await expect(chat.questions).to_have_count(1)
    await chat.has(chat.answers.last, expected_answer(asked))


async def test_a_new_conversation_forgets_the_old_one_in_every_tab(chat: Chat, url: str, gemini: Gemini) -> None:
    await chat.ask(prompt("first"))
    async with tab(chat.page.context, url) as second:
        await expect(second.answers).to_have_count(1)
        await _begin_held(chat, gemini)
        await chat.page.get_by_role("button", name="New conversation").click()
        await expect(chat.page.get_by_role("button", name="Keep it")).to_be_focused()
        await chat.shot("new-conversation")
        await chat.page.get_by_role("button", name="Delete and start over").click()
        for one in (chat, second):
            await expect(one.answers).to_have_count(0)
            await expect(one.page.locator("#welcome")).to_be_visible()
            await expect(one.page.get_by_role("button", name="Send")).to_be_visible()
        asked = prompt("afresh")
        await chat.has(await chat.ask(asked), expected_answer(asked))


async def test_the_page_can_be_used_by_keyboard_alone(chat: Chat, gemini: Gemini) -> None:
    await expect(chat.field).to_be_focused()
    await chat.field.press_sequentially("one line")
    await chat.field.press("Shift+Enter")
    await chat.field.press_sequentially("and another")
    await expect(chat.field).to_have_value("one line\nand another")
    await chat.field.fill("")
    _, answer = await _begin_held(chat, gemini)
    await chat.page.keyboard.press("Escape")
    await chat.ended(answer)

    await chat.page.locator(".skip").focus()
    names = []
    for _ in range(8):
        names.append(
            await chat.page.evaluate("(document.activeElement.ariaLabel || document.activeElement.innerText).trim()")
        )
        await chat.page.keyboard.press("Tab")
    assert names == [
        "Skip to the message field",
        "Dark colours",
        "New conversation",
        "Conversation",
        "Copy the answer",
        "Add pictures",
        "Message",
        "Send",
    ]


async def test_the_colours_follow_the_system_until_a_person_chooses(chat: Chat) -> None:
    async def paper() -> str:
        colour: str = await chat.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return colour

    light = await paper()
    await chat.page.emulate_media(color_scheme="dark")
    dark = await paper()
    assert dark != light
    toggle = chat.page.get_by_role("button", name="Dark colours")
    await expect(toggle).to_have_attribute("aria-pressed", "true")
    await toggle.click()
    assert await paper() == light
    await chat.reload()
    assert await paper() == light
    await toggle.click()
    assert await paper() == dark


async def test_the_view_follows_the_answer_unless_the_reader_scrolls_up(chat: Chat, gemini: Gemini) -> None:
    asked = prompt("long", "chunks=60 words=40 delay=0.01")
    await chat.say(asked)
    jump = chat.page.get_by_role("button", name="Go to the latest message")
    scroller = chat.page.locator("#scroller")
    await chat.until("it => it.scrollTop > 600", scroller)
    await expect(jump).to_be_hidden()
    await scroller.hover()
    await chat.page.mouse.wheel(0, -500)
    await expect(jump).to_be_visible()
    await chat.ended(chat.answers.last)
    await expect(jump).to_be_visible()
    await jump.click()
    await expect(jump).to_be_hidden()
    assert await scroller.evaluate("it => it.scrollHeight - it.scrollTop - it.clientHeight") < 4
