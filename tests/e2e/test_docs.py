"""The API document for people, in a real browser."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser import PHONE, Chat, chromium
from tests.cluster import Cluster

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60), pytest.mark.needs_chromium]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.mark.parametrize(
    ("name", "kind"),
    [("docs", {}), ("docs-dark", {"color_scheme": "dark"}), ("docs-phone", PHONE)],
    ids=["light", "dark", "phone"],
)
async def test_it_can_be_read_by_everybody(browser: Browser, cluster: Cluster, name: str, kind: dict[str, Any]) -> None:
    async with await browser.new_context(**kind) as visitor:
        page = Chat(await visitor.new_page())
        await page.page.goto(f"{cluster.any_url()}/docs")
        width, room = await page.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width <= room
        for call in await page.page.locator("details").all():
            await call.evaluate("(details) => (details.open = true)")
        assert await page.page.evaluate("document.documentElement.scrollWidth") <= room
        await expect(page.page.locator("#ChatRequest")).to_contain_text("at most 32,000 characters")
        await page.shot(name)
        assert not page.errors
        await page.page.evaluate("document.querySelector('nav a').click()")
        assert "#" in page.page.url


async def test_nothing_serious_stands_in_the_way_of_anyone(browser: Browser, cluster: Cluster) -> None:
    for scheme in ("light", "dark"):
        async with await browser.new_context(color_scheme=scheme, bypass_csp=True) as visitor:
            page = Chat(await visitor.new_page())
            await page.page.goto(f"{cluster.any_url()}/docs")
            assert await page.accessibility_violations() == []
