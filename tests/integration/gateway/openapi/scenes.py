"""How to bring about every answer that the API document describes."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from werkzeug.datastructures import Headers

from gateway.guards.origin import Exposure, exposure_of
from gateway.state.errors import SessionGone
from gateway.state.ids import Position
from gateway.state.records import Entry, Kind, Result
from gateway.state.turnlog import Write
from tests.client import Answer
from tests.contract import Key
from tests.integration.gateway.edge import EVENTS, Browser, Edge, picture
from tests.servers import RedisServer

EVIL = {"Origin": "https://evil.example"}
IMAGE = f"/images/{'0' * 32}"


class Stage:
    """Opens gateways with the settings that a scene needs."""

    def __init__(self, serve: Callable[..., Any], valkey: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self._serve = serve
        self._valkey = valkey

    async def edge(self, **settings: Any) -> Edge:
        edge: Edge = await self._serve(self._valkey, **settings)
        return edge

    async def without_redis(self) -> Edge:
        away = SimpleNamespace(url="redis://127.0.0.1:1/0")
        edge: Edge = await self._serve(away, worker=False)
        return edge

    async def browser(self, **settings: Any) -> Browser:
        return (await self.edge(**settings)).browser()


Scene = Callable[[Stage], Awaitable[Answer]]
Call = Callable[..., Awaitable[Answer]]


def call(browser: Browser, method: str, path: str, **more: Any) -> Awaitable[Answer]:
    """A call that nothing is wrong with but what the scene makes of it."""
    if (method, path) == ("POST", "/upload"):
        return browser.post(path, data=b"", **more) if more else browser.upload(("a.png", picture()))
    bodies: dict[tuple[str, str], Any] = {
        ("POST", "/chat"): {"message": "hello"},
        ("POST", "/generate_text"): {"prompt": "hello"},
        ("POST", "/stop"): {},
    }
    body = bodies.get((method, path))
    return browser.call(method, real(path), **({} if body is None else {"json": body}), **more)


def kind(path: str) -> dict[str, str]:
    return {"Content-Type": "multipart/form-data; boundary=b" if path == "/upload" else "application/json"}


def real(path: str) -> str:
    return {"/images/{name}": IMAGE, "/ui/{name}": "/ui/style.css"}.get(path, path)


# What guards say, of whatever call.


async def foreign(stage: Stage, method: str, path: str) -> Answer:
    browser = await stage.browser(cors_origin="https://app.example")
    return await call(browser, method, path, headers=EVIL)


async def too_many(stage: Stage, method: str, path: str) -> Answer:
    browser = await stage.browser(rate_address_requests="1/600")
    await browser.get("/history")
    return await call(browser, method, path)


async def unavailable(stage: Stage, method: str, path: str) -> Answer:
    return await call((await stage.without_redis()).browser(), method, path)


async def broken(stage: Stage, method: str, path: str) -> Answer:
    edge = await stage.edge()
    functions = edge.gateway.app.view_functions
    functions.update({endpoint: breaking(exposure_of(function)) for endpoint, function in functions.items()})
    return await call(edge.browser(), method, path)


def breaking(exposure: Exposure) -> Callable[..., Awaitable[Any]]:
    async def handler(**_: Any) -> Any:
        raise RuntimeError("broken on purpose")

    handler.__dict__["exposure"] = exposure
    return handler


async def malformed(stage: Stage, method: str, path: str) -> Answer:
    browser = await stage.browser()
    return await browser.call(method, path, data=b"{", headers=kind(path))


async def too_slow(stage: Stage, method: str, path: str) -> Answer:
    browser = await stage.browser(body_timeout=0.05)
    headers = Headers({**kind(path), "Content-Length": "100"})
    async with browser.client.request(path, method=method, headers=headers) as connection:
        await connection.send(b"{")
    response = await connection.as_response()
    body = await response.get_data(as_text=False)
    assert isinstance(body, bytes)
    return Answer(response.status_code, dict(response.headers), body)


async def too_large(stage: Stage, method: str, path: str) -> Answer:
    browser = await stage.browser(message_max_chars=10, prompt_max_chars=10, schema_max_bytes=10, upload_max_bytes=1)
    return await browser.call(method, path, data=b"x" * 70_000, headers=kind(path))


async def unsupported(stage: Stage, method: str, path: str) -> Answer:
    browser = await stage.browser()
    return await browser.call(method, path, data=b"hello", headers={"Content-Type": "text/plain"})


async def known_already(stage: Stage, method: str, path: str) -> Answer:
    browser = await stage.browser()
    etag = (await browser.get(real(path))).headers["etag"]
    return await browser.get(real(path), headers={"If-None-Match": etag})


OF_GUARDS: dict[int, Callable[[Stage, str, str], Awaitable[Answer]]] = {
    304: known_already,
    400: malformed,
    403: foreign,
    408: too_slow,
    413: too_large,
    415: unsupported,
    429: too_many,
    500: broken,
    503: unavailable,
}


# What routes say.


async def stream(stage: Stage) -> Answer:
    edge = await stage.edge()
    browser = edge.browser()
    await browser.chat()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(browser.get("/stream"))
        await edge.work("good ", "day")
    return reading.result()


async def stream_at_its_end(stage: Stage) -> Answer:
    browser = await stage.browser()
    return await browser.get("/stream", headers={"Last-Event-ID": "gone:0-0"})


async def nothing_to_stream(stage: Stage) -> Answer:
    return await (await stage.browser()).get("/stream")


async def chat_in_one_call(stage: Stage) -> Answer:
    edge = await stage.edge()
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(edge.browser().post("/chat", json={"message": "hello"}, headers=EVENTS))
        await edge.work("good ", "day")
    return asking.result()


async def turn_running(stage: Stage) -> Answer:
    edge = await stage.edge()
    browser = edge.browser()
    await browser.chat()
    async with browser.stream():
        claim = await edge.claim()
        answer = await browser.post("/chat", json={"message": "again"}, headers=EVENTS)
        await edge.scene.end(claim, 1)
    return answer


async def session_deleted_meanwhile(stage: Stage) -> Answer:
    async def gone(*_: Any) -> None:
        raise SessionGone

    stage.monkeypatch.setattr("gateway.state.sessions.Sessions.put_images", gone)
    return await (await stage.browser()).upload(("a.png", picture()))


async def history(stage: Stage) -> Answer:
    edge = await stage.edge()
    browser = edge.browser()
    await browser.upload(("a.png", picture()))
    await browser.chat()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(browser.read())
        await edge.work("good ", "day")
    return await browser.get("/history")


async def stored_image(stage: Stage) -> tuple[Browser, str]:
    edge = await stage.edge()
    browser = edge.browser()
    await browser.upload(("a.png", picture()))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(browser.read())
        await edge.work("red")
    [image] = (await browser.get("/history")).okay["messages"][0]["images"]
    return browser, image["url"]


async def image(stage: Stage) -> Answer:
    browser, url = await stored_image(stage)
    return await browser.get(url)


async def image_known_already(stage: Stage) -> Answer:
    browser, url = await stored_image(stage)
    etag = (await browser.get(url)).headers["etag"]
    return await browser.get(url, headers={"If-None-Match": etag})


async def session(stage: Stage) -> Answer:
    edge = await stage.edge()
    browser = edge.browser()
    await browser.chat()
    async with browser.stream():
        claim = await edge.claim()
        answer = await browser.get("/session")
        await edge.scene.end(claim, 1)
    assert answer.json["turn"]["state"] == "running"
    return answer


async def generated(stage: Stage) -> Answer:
    edge = await stage.edge()
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(edge.browser().post("/generate_text", json={"prompt": "p"}))
        await edge.work("{}")
    return asking.result()


def failed(code: str) -> Scene:
    async def scene(stage: Stage) -> Answer:
        edge = await stage.edge()
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(edge.browser().post("/generate_text", json={"prompt": "p"}))
            claim = await edge.claim()
            data = msgspec.json.encode({"error": code, "message": "Gemini said no.", "retryable": False})
            entry = Entry(Position(1, 1), Position(1, 0), Kind.FAILED, data)
            await edge.scene.write(Write(claim.ref, claim.token, entry, None, Result()))
        return asking.result()

    return scene


async def leaving(stage: Stage) -> Answer:
    edge = await stage.edge()
    edge.gateway.drain.begin()
    return await edge.browser().get("/readyz")


async def no_such_file(stage: Stage) -> Answer:
    return await (await stage.browser()).get("/ui/no-such-file.js")


OF_ROUTES: dict[Key, Scene] = {
    ("GET", "/stream", 200): stream,
    ("GET", "/stream", 204): stream_at_its_end,
    ("GET", "/stream", 409): nothing_to_stream,
    ("POST", "/chat", 409): turn_running,
    ("POST", "/upload", 409): session_deleted_meanwhile,
    ("GET", "/history", 200): history,
    ("GET", "/images/{name}", 200): image,
    ("GET", "/images/{name}", 304): image_known_already,
    ("GET", "/session", 200): session,
    ("POST", "/generate_text", 200): generated,
    ("POST", "/generate_text", 422): failed("blocked"),
    ("POST", "/generate_text", 502): failed("unavailable"),
    ("POST", "/generate_text", 504): failed("timeout"),
    ("GET", "/readyz", 503): leaving,
    ("GET", "/ui/{name}", 404): no_such_file,
}
