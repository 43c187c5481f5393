"""Writing in the chat page: input methods, pasting, pictures, scripts that run from right to left, the keyboard."""

import pytest
from playwright.async_api import Browser, Locator, expect

from gateway.openapi.document import build
from gateway.settings import GatewaySettings
from tests.browser import PHONE, Chat, visit
from tests.client import picture, prompt
from tests.cluster import Gemini
from tests.gemini_server import Script, expected_answer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60), pytest.mark.needs_chromium]

ARABIC = """\
مرحبا، نعم يمكن ذلك:

- الأول
- الثاني

> اقتباس

```python
print("ok")
```

And in English.
"""


async def _direction(at: Locator) -> str:
    direction: str = await at.evaluate("it => getComputedStyle(it).direction")
    return direction


async def test_the_keys_of_an_input_method_neither_send_nor_stop(chat: Chat, gemini: Gemini) -> None:
    asked = prompt("halting", "hold=4")
    await chat.say(asked)
    await gemini.call_about(asked, held=True)
    method = await chat.page.context.new_cdp_session(chat.page)
    for key in ("Escape", "Enter"):
        await chat.field.focus()
        await method.send("Input.imeSetComposition", {"text": "にほん", "selectionStart": 3, "selectionEnd": 3})
        await chat.page.keyboard.press(key)
    await expect(chat.page.get_by_role("button", name="Stop the answer")).to_be_enabled()
    await gemini.release()
    await chat.ended(chat.answers.last)
    await chat.has(chat.answers.last, expected_answer(asked))
    await chat.field.fill("")
    await method.send("Input.imeSetComposition", {"text": "にほん", "selectionStart": 3, "selectionEnd": 3})
    await chat.page.keyboard.press("Enter")
    await expect(chat.field).to_have_value("にほん\n")
    await expect(chat.questions).to_have_count(1)


async def test_text_runs_in_its_own_direction_and_code_from_left_to_right(chat: Chat, gemini: Gemini) -> None:
    await gemini.script(Script(text=ARABIC, chunks=9))
    await chat.field.fill("مرحبا، هل يمكن ذلك بلغة Python؟")
    assert await _direction(chat.field) == "rtl"
    answer = await chat.ask("مرحبا، هل يمكن ذلك بلغة Python؟")
    assert await _direction(chat.questions.last.locator(".bubble")) == "rtl"
    prose = answer.locator(".prose")
    assert [await _direction(prose.locator(tag).first) for tag in ("p", "ul", "blockquote")] == ["rtl"] * 3
    assert [await _direction(at) for at in (prose.locator("pre"), prose.locator("p").last)] == ["ltr"] * 2
    bullets, text = await prose.locator("ul").evaluate(
        "it => [it.getBoundingClientRect().right, it.firstElementChild.getBoundingClientRect().right]"
    )
    assert bullets - text > 10, "there is room for the bullets where the lines begin"
    await chat.shot("right-to-left")


async def test_a_pasted_table_is_text_though_its_program_adds_a_picture_of_it(chat: Chat) -> None:
    paste = """async (bytes) => {
      const held = new DataTransfer();
      held.setData("text/plain", "a\\tb");
      held.setData("text/html", "<table><tr><td>a<td>b</table>");
      held.items.add(new File([new Uint8Array(bytes)], "image.png", { type: "image/png" }));
      const event = new ClipboardEvent("paste", { clipboardData: held, cancelable: true, bubbles: true });
      document.getElementById("message").dispatchEvent(event);
      return event.defaultPrevented;
    }"""
    assert await chat.page.evaluate(paste, list(picture())) is False
    await expect(chat.page.locator("#tray li")).to_have_count(0)


async def test_the_chooser_offers_what_the_gateway_takes(chat: Chat) -> None:
    """No more than that: a phone that is asked for JPEG makes one of a HEIC photograph by itself."""
    offered = await chat.page.locator("#files").get_attribute("accept")
    document = build(GatewaySettings())
    form = document["paths"]["/upload"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert offered == form["encoding"]["file"]["contentType"].replace(" ", "")
    await chat.attach({"name": "IMG_1.HEIC", "mimeType": "image/heic", "buffer": b"heic"})
    await expect(chat.problem).to_contain_text("Only pictures can be added")


async def test_a_failure_is_read_out_and_trying_again_keeps_the_keyboards_place(chat: Chat, gemini: Gemini) -> None:
    await chat.say(prompt("failing", "status=503 times=2"))
    failure = chat.answers.last.locator(".failure")
    await expect(chat.page.locator("#announcer")).to_contain_text("Please try again in a moment.")
    await failure.get_by_role("button", name="Try again").focus()
    await chat.page.keyboard.press("Enter")
    await chat.ended(chat.answers.last)
    await expect(chat.field).to_be_focused()


async def test_what_is_read_out_is_the_answer_without_its_buttons(chat: Chat, gemini: Gemini) -> None:
    await gemini.script(Script(text="So,\nI say:\n\n```python\nprint(1)\n```\n", chunks=3))
    await chat.ask("How do I print one?")
    announcer = chat.page.locator("#announcer")
    await expect(announcer).to_contain_text("print(1)")
    assert ((await announcer.text_content()) or "").split() == ["Gemini:", "So,", "I", "say:", "print(1)"]


async def test_a_message_that_is_back_to_be_edited_leaves_what_was_written_meanwhile(
    chat: Chat, gemini: Gemini
) -> None:
    asked = prompt("refused", "block=SAFETY")
    await chat.say(asked)
    edit = chat.answers.last.locator(".failure").get_by_role("button", name="Edit")
    await expect(edit).to_be_visible()
    await chat.field.fill("another thought")
    await edit.click()
    await expect(chat.field).to_have_value(f"{asked}\n\nanother thought")


async def test_a_phones_keyboard_opens_only_where_somebody_writes(browser: Browser, url: str, gemini: Gemini) -> None:
    async with visit(browser, url, **PHONE) as chat:
        await expect(chat.field).not_to_be_focused()
        asked = prompt("halting", "hold=4")
        await chat.field.fill(asked)
        await chat.page.get_by_role("button", name="Send").tap()
        await gemini.call_about(asked, held=True)
        await chat.field.blur()
        await chat.page.get_by_role("button", name="Stop the answer").tap()
        await chat.ended(chat.answers.last)
        await expect(chat.field).not_to_be_focused()
        await chat.page.get_by_role("button", name="New conversation").tap()
        await chat.page.get_by_role("button", name="Delete and start over").tap()
        await expect(chat.page.locator("#welcome")).to_be_visible()
        await expect(chat.field).not_to_be_focused()
        await chat.page.locator(".suggestion").first.tap()
        await expect(chat.field).to_be_focused()
