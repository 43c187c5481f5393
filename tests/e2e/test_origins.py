"""What pages of other origins can do, in a real browser: everything where they are named, nothing where they are not.

A browser sends the cookie along for a stranger's page where that is on another port of the same host (one site), and
where SameSite=None says so. Both are tried, so that what holds is the gateway's own door and not the browser's.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page

from tests.balancer import balancer
from tests.browser import profile
from tests.client import prompt
from tests.cluster import Cluster, Gateway, Gemini
from tests.dns import name_server
from tests.gemini_server import expected_answer
from tests.pages import pages, self_signed
from tests.processes import until

PAGES = Path(__file__).parent / "pages"
FRONTEND = (PAGES / "frontend.js").read_text()
INTRUDER = (PAGES / "intruder.js").read_text()

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60), pytest.mark.needs_chromium]
NOTHING_SEEN = ("TypeError", "error", "loaded", "SecurityError", "opaque 0 ", "opaque", True)

over_tls = pytest.mark.needs_haproxy


@dataclass
class Web:
    """A gateway and two other origins, as the browser knows them."""

    gateway: str
    frontend: str
    intruder: str
    process: Gateway


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(stand_in: Gemini, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Without gateways: each web has its own."""
    async with Cluster(tmp_path_factory.mktemp("origins"), stand_in, gateways=0) as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ports() -> AsyncIterator[tuple[int, int]]:
    async with pages() as one, pages() as other:
        yield one, other


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def localhost(cluster: Cluster, ports: tuple[int, int]) -> Web:
    """Three ports of one host: one site, three origins."""
    frontend, intruder = (f"http://localhost:{port}" for port in ports)
    [gateway] = await cluster.add_gateways(CORS_ORIGIN=f"https://elsewhere.test, {frontend}")
    return Web(f"http://localhost:{gateway.port}", frontend, intruder, gateway)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def nobody_named(cluster: Cluster, ports: tuple[int, int]) -> Web:
    frontend, intruder = (f"http://localhost:{port}" for port in ports)
    [gateway] = await cluster.add_gateways()
    return Web(f"http://localhost:{gateway.port}", frontend, intruder, gateway)


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["false", "true"], ids=["", "partitioned"])
async def sites(
    request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Web]:
    """Three sites over TLS, the gateway behind HAProxy."""
    directory = tmp_path_factory.mktemp("sites")
    certificate = directory / "certificate.pem"
    certificate.write_bytes(self_signed("*.gateway.test", "*.frontend.test", "*.intruder.test"))
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(pages(certificate))
        frontend, intruder = (f"https://www.{site}.test:{port}" for site in ("frontend", "intruder"))
        [gateway] = await cluster.add_gateways(
            CORS_ORIGIN=frontend, TRUSTED_PROXIES="1", COOKIE_SAMESITE="None", COOKIE_PARTITIONED=request.param
        )
        names = await stack.enter_async_context(name_server())
        names.addresses["gateway"] = [gateway.host]
        haproxy = await stack.enter_async_context(
            balancer(
                directory / "haproxy.log",
                names_port=names.port,
                gateway_port=gateway.port,
                TLS_CERT=str(certificate),
            )
        )
        await haproxy.sees(gateway.host)
        yield Web(haproxy.url.replace("127.0.0.1", "www.gateway.test"), frontend, intruder, gateway)


@pytest_asyncio.fixture(loop_scope="session")
async def user(gemini: Gemini, tmp_path: Path) -> AsyncIterator[BrowserContext]:
    """Somebody's browser, with all of their cookies."""
    async with profile(tmp_path / "profile", "--host-resolver-rules=MAP *.test 127.0.0.1") as context:
        yield context


class Frontend:
    def __init__(self, page: Page) -> None:
        self._page = page

    async def call(self, name: str, *args: Any) -> Any:
        return await self._page.evaluate("([name, args]) => api[name](...args)", [name, list(args)])

    async def json(self, name: str, *args: Any) -> Any:
        answer = await self.call(name, *args)
        assert answer["status"] == 200, answer
        return json.loads(answer["body"])


async def frontend(user: BrowserContext, web: Web, origin: str = "") -> Frontend:
    page = await user.new_page()
    await page.goto(origin or web.frontend)
    await page.evaluate(FRONTEND, web.gateway)
    return Frontend(page)


async def everything_works(page: Frontend) -> None:
    about = prompt("from another origin")
    assert (await page.json("session"))["pending"] == {"message": False, "images": 0}
    assert (await page.json("upload"))["filename"] == "square.png"
    assert await page.json("chat", about) == {"success": True}
    assert await page.call("stream") == {"kind": "done", "text": expected_answer(about)}
    said, answered = (await page.json("history"))["messages"]
    assert (said["text"], answered["text"]) == (about, expected_answer(about))
    assert await page.call("shows", said["images"][0]["url"]) == 8
    again = await page.call("chatOnce", "And again", "7f3c")
    assert (again["status"], len(again["turn"])) == (200, 24)
    assert await page.json("stop") == {"success": True, "stopped": False}
    assert (await page.call("text", "In JSON"))["status"] == 200
    assert await page.json("clear") == {"success": True}
    assert await page.json("leave") == {"success": True}


async def an_intruder_gets_nowhere(user: BrowserContext, web: Web, home: Frontend, gemini: Gemini) -> None:
    """A message and an image wait, so that any stream would begin a turn."""
    secret = prompt("secret")
    await home.json("session")
    await home.json("chat", secret)
    await home.call("stream")
    await home.json("upload")
    await home.json("chat", prompt("pending"))
    before = await home.json("session"), await home.json("history")
    calls = len(await gemini.calls())

    page = await user.new_page()
    await page.goto(web.intruder)
    seen = await page.evaluate(INTRUDER, web.gateway)
    assert len(seen) == 19
    for attempt, outcome in seen.items():
        assert outcome in NOTHING_SEEN, (attempt, outcome)
    # By a link the browser sends even a Lax cookie.
    async with page.expect_response(f"{web.gateway}/stream") as answer:
        await page.evaluate("(url) => location.assign(url)", f"{web.gateway}/stream")
    assert (await answer.value).status == 403

    await until(lambda: web.process.output.count('"path": "/stop"') > 1, "the beacon to arrive")
    assert (await home.json("session"), await home.json("history")) == before
    assert len(await gemini.calls()) == calls


async def test_from_localhost_a_named_frontend_can_do_everything(user: BrowserContext, localhost: Web) -> None:
    await everything_works(await frontend(user, localhost))


async def test_from_localhost_another_page_can_do_nothing(user: BrowserContext, localhost: Web, gemini: Gemini) -> None:
    await an_intruder_gets_nowhere(user, localhost, await frontend(user, localhost), gemini)


@over_tls
async def test_across_sites_a_named_frontend_can_do_everything(user: BrowserContext, sites: Web) -> None:
    await everything_works(await frontend(user, sites))


@over_tls
async def test_across_sites_another_page_can_do_nothing(user: BrowserContext, sites: Web, gemini: Gemini) -> None:
    await an_intruder_gets_nowhere(user, sites, await frontend(user, sites), gemini)


async def test_where_none_is_named_a_page_calls_without_the_cookie_and_does_nothing_with_it(
    user: BrowserContext, nobody_named: Web, gemini: Gemini
) -> None:
    stranger = await frontend(user, nobody_named)
    assert (await stranger.call("plainText", "Without a session"))["status"] == 200
    own = await frontend(user, nobody_named, f"{nobody_named.gateway}/ui")
    await an_intruder_gets_nowhere(user, nobody_named, own, gemini)
