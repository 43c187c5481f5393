"""The chat page in a real, headless Chromium, as its user sees it.

The browser is the distribution's: Playwright drives it and downloads none of its own. Whatever the page logs as an
error, a breach of its Content-Security-Policy above all, fails the test when the chat is left.
"""

import shutil
from collections.abc import AsyncIterator, Sequence
from colorsys import hsv_to_rgb
from contextlib import asynccontextmanager
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageOps
from playwright.async_api import Browser, BrowserContext, FilePayload, Locator, Page, async_playwright, expect

from tests.processes import ROOT, found

SCREENSHOTS = ROOT / ".screenshots"
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_PASSES = ("status of 409", "status of 503")
"""The answer to be followed ended that moment, or a busy machine's Redis was slow: the page mends that by itself."""
_PATIENCE = 10_000  # ms


def installed() -> str:
    """The browser's path. Raises ``FileNotFoundError`` where there is none."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    raise FileNotFoundError(f"none of {', '.join(_NAMES)} is on PATH")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    expect.set_options(timeout=_PATIENCE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=installed(), args=_FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def profile(directory: Path, *flags: str) -> AsyncIterator[BrowserContext]:
    """A browser that sends third parties their cookies, as many still do; Chromium itself has to be told to."""
    preferences = directory / "Default" / "Preferences"
    preferences.parent.mkdir(parents=True)
    preferences.write_text('{"profile": {"cookie_controls_mode": 0}}')
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            directory, executable_path=installed(), args=[*_FLAGS, *flags], ignore_https_errors=True
        )
        try:
            yield context
        finally:
            await context.close()


class Chat:
    """One tab with the chat page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.field = page.get_by_role("textbox", name="Message")
        self.answers = page.locator(".message.model")
        self.questions = page.locator(".message.user")
        self.connection = page.locator("#connection")
        self.problem = page.locator("#problem")
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)

    async def open(self, url: str) -> None:
        """Returns when the page has asked the service what there is."""
        await self.page.goto(f"{url}/ui")
        await expect(self.page.locator("#model")).to_be_visible()

    async def reload(self) -> None:
        await self.page.reload()
        await expect(self.page.locator("#model")).to_be_visible()

    async def say(self, text: str) -> None:
        await self.field.fill(text)
        await self.field.press("Enter")

    async def ask(self, text: str) -> Locator:
        """One turn to its end; its answer."""
        await self.say(text)
        bubble = self.page.locator(".bubble").get_by_text(text, exact=True)
        answer = self.page.locator(".turn").filter(has=bubble).locator(".message.model")
        await self.ended(answer)
        return answer

    async def ended(self, answer: Locator) -> None:
        """Returns when the answer is whole or stopped, and the page has read the history."""
        await expect(answer.locator(".facts time")).to_be_visible()

    async def has(self, answer: Locator, text: str) -> None:
        """Returns when the answer's words are these, however its lines break."""
        wanted = text.split()

        async def shown() -> bool:
            return ((await answer.locator(".prose").text_content()) or "").split() == wanted

        await found(shown, f"the answer to be {text!r}")

    async def until(self, holds: str, at: Locator) -> None:
        """Returns when ``holds``, a JavaScript function, is true of an element. (Playwright's own waiting is forbidden
        by the page's policy: it makes code of text.)"""

        async def ask() -> bool:
            return bool(await at.evaluate(holds))

        await found(ask, holds)

    async def attach(self, *pictures: FilePayload) -> None:
        await self.page.locator("#files").set_input_files(list(pictures))

    async def shot(self, name: str, *, whole: bool = False) -> None:
        """A screenshot for people to look at, in the git-ignored ``.screenshots/``."""
        SCREENSHOTS.mkdir(exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=whole, animations="disabled")

    async def accessibility_violations(self) -> list[str]:
        """What axe-core finds that is serious or worse."""
        await self.page.evaluate(_axe())
        report = await self.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        return [
            f"{rule['id']}: {node['target']} {node['failureSummary']}"
            for rule in report["violations"]
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"]
        ]


@asynccontextmanager
async def visit(browser: Browser, url: str, *, forgive: Sequence[str] = (), **context: Any) -> AsyncIterator[Chat]:
    """A visitor with cookies of their own. ``forgive``: parts of errors that the test provokes."""
    async with await browser.new_context(locale="en-GB", **context) as visitor, tab(visitor, url, forgive) as chat:
        yield chat


@asynccontextmanager
async def tab(visitor: BrowserContext, url: str, forgive: Sequence[str] = ()) -> AsyncIterator[Chat]:
    chat = Chat(await visitor.new_page())
    await chat.open(url)
    yield chat
    unforgiven = [error for error in chat.errors if not any(part in error for part in (*forgive, *_PASSES))]
    assert not unforgiven, unforgiven


def photo(name: str, size: tuple[int, int] = (640, 420), hue: float = 0.55) -> FilePayload:
    """A picture of the evening sun over water, to be chosen as a file."""
    width, height = size
    sky = Image.linear_gradient("L").resize(size)
    red, green, blue = (int(255 * part) for part in hsv_to_rgb(hue, 0.7, 0.75))
    image = ImageOps.colorize(sky, (red, green, blue), (255, 226, 190))
    draw = ImageDraw.Draw(image)
    sun = height // 6
    draw.ellipse(
        (width * 0.62 - sun, height * 0.62 - sun, width * 0.62 + sun, height * 0.62 + sun), fill=(255, 244, 214)
    )
    draw.rectangle((0, height * 0.66, width, height), fill=(red // 3, green // 3, blue // 3))
    content = BytesIO()
    image.save(content, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": content.getvalue()}


def _axe() -> str:
    # The wheel carries axe-core's own, unchanged file.
    return (files("axe_playwright_python") / "axe.min.js").read_text()
