"""Pages of other origins: what they reach, what they change, what they may read."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.gateway.edge import EVENTS, Browser, Edge, picture
from tests.servers import RedisServer

FRONTEND = "https://app.example"
EVIL = {"Origin": "https://evil.example"}
FOREIGN = [
    EVIL,
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {**EVIL, "Sec-Fetch-Site": "same-origin"},
]
CALLS = [
    ("POST", "/chat"),
    ("POST", "/upload"),
    ("POST", "/stop"),
    ("POST", "/generate_text"),
    ("GET", "/stream"),
    ("GET", "/session"),
    ("GET", "/history"),
    ("DELETE", "/history"),
    ("DELETE", "/session"),
]

Serve = Callable[..., Any]


async def victim(edge: Edge) -> Browser:
    """A user with a session, a message and a picture."""
    browser = edge.browser()
    await browser.chat("mine")
    await browser.upload(("a.png", picture()))
    return browser


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("headers", FOREIGN)
async def test_a_foreign_page_can_do_nothing_with_a_users_cookie(
    serve: Serve, valkey: RedisServer, named: bool, headers: dict[str, str]
) -> None:
    edge: Edge = await serve(valkey, cors_origin=FRONTEND if named else "*")
    browser = await victim(edge)
    before = (await browser.get("/session")).okay
    for method, path in CALLS:
        answer = await browser.call(method, path, headers={**headers, **EVENTS}, json={"message": "x", "prompt": "x"})
        answer.refused(403, "foreign_origin")
        assert "set-cookie" not in answer.headers
    assert (await browser.get("/session")).okay == before
    assert await edge.scene.live() == set()


@pytest.mark.parametrize("headers", FOREIGN)
async def test_where_origins_are_named_others_are_refused_without_a_cookie_too(
    serve: Serve, valkey: RedisServer, headers: dict[str, str]
) -> None:
    edge: Edge = await serve(valkey, cors_origin=FRONTEND)
    for method, path in CALLS:
        (await edge.browser().call(method, path, headers=headers)).refused(403, "foreign_origin")
    assert await edge.scene.live() == set()


async def test_where_none_is_named_any_page_may_call_without_a_cookie(edge: Edge) -> None:
    answer = await edge.browser().post("/chat", json={"message": "hi"}, headers=EVIL)
    assert answer.okay == {"success": True}
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    assert "set-cookie" not in answer.headers, "its browser would send it back, and be refused"


async def test_its_409_says_what_cross_origin_chat_needs(edge: Edge) -> None:
    answer = await edge.browser().get("/stream", headers={**EVIL, **EVENTS})
    answer.refused(409, "nothing_pending")
    assert "CORS_ORIGIN" in answer.json["message"]
    own = await edge.browser().get("/stream", headers=EVENTS)
    assert "CORS_ORIGIN" not in own.json["message"]


async def test_a_named_origin_may_do_everything_with_credentials(serve: Serve, valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, cors_origin=f"https://other.example, {FRONTEND}")
    browser = edge.browser()
    headers = {"Origin": FRONTEND, "Sec-Fetch-Site": "cross-site"}
    for method, path, json in (
        ("GET", "/session", None),
        ("POST", "/chat", {"message": "hi"}),
        ("GET", "/history", None),
        ("POST", "/stop", {}),
        ("DELETE", "/history", None),
        ("DELETE", "/session", None),
    ):
        answer = await browser.call(method, path, headers=headers, **({} if json is None else {"json": json}))
        assert answer.status == 200, path
        assert answer.headers["access-control-allow-origin"] == FRONTEND
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "Origin" in answer.headers["vary"]


async def test_a_named_origin_can_read_errors_and_what_headers_say(serve: Serve, valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, cors_origin=FRONTEND)
    headers = {"Origin": FRONTEND, "Content-Type": "application/json"}
    for answer in (
        await edge.browser().get("/stream", headers=headers),
        await edge.browser().get("/nowhere", headers=headers),
        await edge.browser().post("/chat", data=b"{", headers=headers),
        await edge.browser().post("/chat", data=b"x" * 1_000_000, headers=headers),
    ):
        assert answer.status >= 400
        assert answer.headers["access-control-allow-origin"] == FRONTEND
        exposed = set(answer.headers["access-control-expose-headers"].split(", "))
        assert {"X-Turn-Id", "X-Request-Id", "Retry-After"} <= exposed


async def test_a_preflight_allows_what_our_client_sends(serve: Serve, valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, cors_origin=FRONTEND)
    asked = "content-type,idempotency-key,last-event-id,x-evil"
    headers = {
        "Origin": FRONTEND,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked,
    }
    answer = await edge.browser().call("OPTIONS", "/chat", headers=headers)
    assert answer.status == 200
    allowed = {name.lower() for name in answer.headers["access-control-allow-headers"].split(", ")}
    assert allowed == {"content-type", "idempotency-key", "last-event-id"}
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    foreign = await edge.browser().call("OPTIONS", "/chat", headers={**headers, **EVIL})
    assert "access-control-allow-origin" not in foreign.headers


async def test_a_page_of_our_own_is_let_in(serve: Serve, valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, cors_origin=FRONTEND, trusted_proxies=1)
    browser = edge.browser()
    tls = {"X-Forwarded-Proto": "https", "Host": "chat.example"}
    await browser.get("/session", headers={**tls, "Sec-Fetch-Site": "same-origin"})
    for headers in (
        {"Origin": "https://chat.example"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {},
    ):
        assert (await browser.post("/chat", json={"message": "hi"}, headers={**tls, **headers})).status == 200
    plain = await browser.post("/chat", json={"message": "hi"}, headers={**tls, "Origin": "http://chat.example"})
    plain.refused(403, "foreign_origin")


async def test_a_link_from_anywhere_to_what_is_nobodys_is_followed(serve: Serve, valkey: RedisServer) -> None:
    edge: Edge = await serve(valkey, cors_origin=FRONTEND)
    browser = await victim(edge)
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert (await browser.get("/", headers=link)).status == 200
    assert (await browser.get("/readyz", headers=EVIL)).status == 200


async def test_an_embedded_picture_is_shown_by_named_frontends_and_bound_to_us_otherwise(
    serve: Serve, valkey: RedisServer
) -> None:
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"}
    for cors_origin, policy in ((FRONTEND, "cross-origin"), ("*", "same-origin")):
        edge: Edge = await serve(valkey, cors_origin=cors_origin)
        answer = await (await victim(edge)).get(f"/images/{'0' * 32}", headers=embedded)
        answer.refused(404, "not_found")
        assert answer.headers["cross-origin-resource-policy"] == policy
