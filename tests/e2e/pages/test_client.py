"""The client module, /client.js, against a service that answers byte for byte as each test says."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser

from tests.processes import ROOT
from tests.servers import free_port

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(30), pytest.mark.needs_chromium]

TURN = "0123456789abcdef01234567"
PRIMING = f"retry: 20\nid: {TURN}:0-0\n\n".encode()
DONE = f'event: done\nid: {TURN}:1-9\ndata: {{"finish_reason":"STOP","model":"m","usage":{{}}}}\n\n'.encode()

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service:
    """Answers each call with the next of ``answers``, and remembers the calls."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.calls: list[tuple[str, str, dict[str, str], bytes]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        names = ("Last-Event-ID", "Idempotency-Key", "Accept")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        self.calls.append((request.method, request.path_qs, headers, await request.read()))
        return await self.answers.pop(0)(request)

    def last_event_ids(self) -> list[str | None]:
        return [headers.get("Last-Event-ID") for _, _, headers, _ in self.calls]


def stream(*pieces: bytes, cut: bool = False, turn: str = TURN, pause: float = 0.0) -> Answer:
    """An event stream in just these pieces; with ``cut`` its connection is closed before its end."""

    async def answer(request: web.Request) -> web.StreamResponse:
        named = {"X-Turn-Id": turn} if turn else {}
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **named})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0)
        await asyncio.sleep(pause)
        if cut and request.transport is not None:
            request.transport.close()
        return response

    return answer


def refusal(status: int, code: str, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        body = {"success": False, "error": code, "message": "A sentence."}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(body, status=status, headers=named)

    return answer


async def no_content(_: web.Request) -> web.StreamResponse:
    return web.Response(status=204)


@asynccontextmanager
async def _serving(service: Service, port: int) -> AsyncIterator[None]:
    async def blank(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<!doctype html><link rel=icon href=data:,>", content_type="text/html")

    async def client(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(ROOT / "gateway" / "page" / "client.js")

    app = web.Application()
    app.add_routes([web.get("/", blank), web.get("/client.js", client), web.route("*", "/{path:.*}", service.answer)])
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


class Client:
    """The module in a page of its own."""

    def __init__(self, run: Callable[[str], Awaitable[Any]]) -> None:
        self._run = run

    async def events(self, call: str, options: str = "{}", *, leave_at: str = "") -> list[dict[str, Any]]:
        """All that a stream says; what it throws comes last, as ``{"thrown": …}``."""
        told: list[dict[str, Any]] = await self._run(
            f"""async () => {{
              const {{ GatewayClient }} = await import("/client.js");
              const chat = new GatewayClient({options});
              const told = [];
              try {{
                for await (const event of chat.{call}) {{
                  told.push(event);
                  if (event.type === {json.dumps(leave_at)}) break;
                }}
              }} catch (error) {{
                told.push({{ thrown: error.status ? error.code : String(error), turn: error.turn }});
              }}
              return told;
            }}"""
        )
        return told


@pytest.fixture
def service() -> Service:
    return Service()


@pytest_asyncio.fixture(loop_scope="session")
async def client(browser: Browser, service: Service) -> AsyncIterator[Client]:
    port = free_port()
    async with _serving(service, port), await browser.new_context() as visitor:
        page = await visitor.new_page()
        await page.goto(f"http://127.0.0.1:{port}/")
        yield Client(page.evaluate)
        assert service.answers == [], "the client asked less often than expected"


def _text(events: list[dict[str, Any]]) -> str:
    return "".join(event["text"] for event in events if event["type"] == "text")


def _types(events: list[dict[str, Any]]) -> list[str]:
    return [event.get("type", "thrown") for event in events]


def _message(seq: int, text: str) -> bytes:
    return f"id: {TURN}:1-{seq}\ndata: {text}\n\n".encode()


async def test_events_are_read_however_their_bytes_come(client: Client, service: Service) -> None:
    body = (
        b"\xef\xbb\xbf: a comment\r\n" + PRIMING.replace(b"\n", b"\r\n") + f"id: {TURN}:1-1\rdata:  é漢😀\r\r".encode()
        + f"id: {TURN}:1-2\ndata: two\r\ndata:\rdata: lines\n\n".encode() + b": keep-alive\n\nunknown: field\n\n"
        + f'event: reset\nid: {TURN}:2-0\ndata: {{"attempt":2,\ndata: "reason":"worker_lost"}}\n\n'.encode()
        + f"event: of tomorrow\nid: {TURN}:2-1\ndata: x\n\n".encode() + DONE + b"data: never ended\n"
    )  # fmt: skip
    for pieces in ([body], [bytes([byte]) for byte in body]):
        service.answers = [stream(*pieces)]
        events = await client.events("stream()")
        assert _types(events) == ["turn", "text", "text", "reset", "done"]
        assert [event["text"] for event in events[1:3]] == [" é漢😀", "two\n\nlines"]
        assert (events[3]["attempt"], events[3]["reason"]) == (2, "worker_lost")
        assert events[4]["id"] == f"{TURN}:1-9"


async def test_a_cut_connection_goes_on_behind_the_last_whole_event(client: Client, service: Service) -> None:
    service.answers = [
        stream(PRIMING, cut=True, pause=0.2),
        stream(PRIMING, _message(1, "one "), b"id: nonsense\ndata: half an ev", cut=True, pause=0.2),
        stream(b"retry: 10\n\n", turn=""),
        stream(PRIMING.replace(b"0-0", b"1-1"), _message(2, "two")),
        stream(PRIMING.replace(b"0-0", b"1-2"), DONE),
    ]
    events = await client.events("send('hello')")
    assert _text(events) == "one two"
    assert _types(events) == [
        *("turn", "waiting", "connected", "text", "waiting", "waiting", "connected", "text", "waiting", "connected"),
        "done",
    ]
    assert [event["reason"] for event in events if event["type"] == "waiting"] == ["lost", "lost", "busy", "lost"]
    assert [call[:2] for call in service.calls] == [("POST", "/chat"), *[("GET", "/stream")] * 4]
    position = f"{TURN}:1-"
    assert service.last_event_ids() == [None, f"{TURN}:0-0", position + "1", position + "1", position + "2"]


async def test_a_message_that_is_turned_away_is_sent_again_as_the_same_one(client: Client, service: Service) -> None:
    service.answers = [
        stream(b"retry: 10\n\n", turn=""),
        refusal(503, "queue_full", Retry_After="0"),
        stream(PRIMING, DONE),
    ]
    events = await client.events("send('hello')")
    assert _types(events) == ["waiting", "waiting", "connected", "turn", "done"]
    assert [call[:2] for call in service.calls] == [("POST", "/chat")] * 3
    assert len({headers["Idempotency-Key"] for _, _, headers, _ in service.calls}) == 1
    assert all(headers["Accept"] == "text/event-stream" for _, _, headers, _ in service.calls)
    assert {json.loads(body)["message"] for *_, body in service.calls} == {"hello"}


async def test_what_waiting_does_not_help_is_thrown(client: Client, service: Service) -> None:
    service.answers = [refusal(409, "turn_running", X_Turn_Id=TURN)]
    assert await client.events("send('hello')") == [{"thrown": "turn_running", "turn": TURN}]
    service.answers = [refusal(409, "nothing_pending")]
    assert [event["thrown"] for event in await client.events("stream()")] == ["nothing_pending"]


async def test_a_reload_follows_what_is_there_or_nothing(client: Client, service: Service) -> None:
    service.answers = [refusal(409, "nothing_pending")]
    assert await client.events("stream({ begin: false })") == []
    assert service.calls[-1][1] == "/stream?begin=0"
    service.answers = [no_content]
    assert await client.events(f"stream({{ after: '{TURN}:1-9' }})") == []
    assert service.last_event_ids()[-1] == f"{TURN}:1-9"
    service.answers = [stream(b"event: expired\nid: gone:0-0\ndata: {}\n\n", turn="")]
    assert _types(await client.events("stream()")) == ["expired"]


async def test_a_silent_connection_counts_as_lost(client: Client, service: Service) -> None:
    service.answers = [stream(PRIMING, _message(1, "one "), pause=5.0), stream(PRIMING, _message(2, "two"), DONE)]
    events = await client.events("stream()", "{ silence: 300 }")
    assert _text(events) == "one two"
    assert [event["reason"] for event in events if event["type"] == "waiting"] == ["lost"]


@pytest.mark.parametrize("how", ["by leaving the loop", "by its signal"])
async def test_a_stream_that_is_left_closes_its_connection(client: Client, service: Service, how: str) -> None:
    closed = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        try:
            return await stream(PRIMING, _message(1, "one"), pause=60.0)(request)
        finally:
            closed.set()

    service.answers = [endless]
    if how == "by its signal":
        events = await client.events("stream({ signal: AbortSignal.timeout(200) })")
        assert "TimeoutError" in events.pop()["thrown"]
    else:
        events = await client.events("stream()", leave_at="text")
    assert _types(events) == ["turn", "text"]
    await asyncio.wait_for(closed.wait(), 5)
    assert len(service.calls) == 1
