"""A browser for the chat page's tests beside this file."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser import Chat, chromium, visit
from tests.cluster import Cluster, Gemini


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
def url(cluster: Cluster) -> str:
    """One replica: a browser's tabs share an origin."""
    return cluster.gateways[0].url


@pytest_asyncio.fixture(loop_scope="session")
async def chat(browser: Browser, url: str, gemini: Gemini) -> AsyncIterator[Chat]:
    async with visit(browser, url) as chat:
        yield chat
