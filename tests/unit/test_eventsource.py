"""The tests' own EventSource does as browsers do (WHATWG HTML, 9.2.2 and 9.2.3)."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.eventsource import EventSource
from tests.servers import free_port


class Script:
    """A server that gives one prepared answer after the other, the last one for ever."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str | None] = []
        self.answers: list[tuple[int, str, bytes]] = []
        self.hold = asyncio.Event()

    def say(self, body: bytes, status: int = 200, kind: str = "text/event-stream") -> None:
        self.answers.append((status, kind, body))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.headers.get("Last-Event-ID"))
        status, kind, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        response = web.StreamResponse(status=status, headers={"Content-Type": kind})
        await response.prepare(request)
        if body:
            await response.write(body.removesuffix(b"<break>").removesuffix(b"<hold>"))
        if body.endswith(b"<break>"):
            assert request.transport
            request.transport.abort()
        elif body.endswith(b"<hold>"):
            await self.hold.wait()
        return response


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    script = Script()
    app = web.Application()
    app.router.add_get("/", script.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port := free_port())
    await site.start()
    script.url = f"http://127.0.0.1:{port}/"
    yield script
    script.hold.set()
    await runner.cleanup()


async def test_it_comes_back_after_a_clean_end_with_the_last_id(script: Script) -> None:
    script.say(b"retry: 1\nid: 1\ndata: a\n\n")
    script.say(b"data: b\n\n<hold>")
    async with EventSource(script.url) as reader:
        await reader.until(lambda event: event.data == "b")
        assert reader.text == "ab"
        assert script.asked == [None, "1"]
        assert not reader.closed


async def test_it_comes_back_after_a_broken_connection(script: Script) -> None:
    script.say(b"retry: 1\nid: 1\ndata: a\n\ndata: lost<break>")
    script.say(b"id: 2\ndata: b\n\n<hold>")
    async with EventSource(script.url) as reader:
        await reader.until(lambda event: event.data == "b")
        assert reader.text == "ab"
        assert script.asked == [None, "1"]


async def test_a_block_with_only_an_id_is_a_place_to_come_back_to(script: Script) -> None:
    script.say(b"retry: 1\nid: 7\n\n<break>")
    script.say(b"data: x\n\n<hold>")
    async with EventSource(script.url) as reader:
        await reader.until("message")
        assert script.asked == [None, "7"]


async def test_a_blank_line_in_a_stream_without_ids_forgets_the_place(script: Script) -> None:
    script.say(b"retry: 1\nid: 7\n\n")
    script.say(b"retry: 1\n")
    script.say(b"retry: 1\n\n")
    script.say(b"data: x\n\n<hold>")
    async with EventSource(script.url) as reader:
        await reader.until("message")
        assert script.asked == [None, "7", "7", None]


async def test_a_server_that_is_away_is_asked_again(script: Script) -> None:
    script.say(b"data: x\n\n<hold>")
    async with EventSource(f"http://127.0.0.1:{free_port()}/", hurry=1000) as reader:
        await reader.when(lambda: len(reader.connections) >= 3)
        assert [connection.status for connection in reader.connections[:2]] == [0, 0]
        assert not reader.closed


@pytest.mark.parametrize("status", [204, 301, 400, 409, 500, 503])
async def test_any_other_status_is_final(script: Script, status: int) -> None:
    script.say(b"", status)
    async with EventSource(script.url) as reader:
        assert (await reader.until_closed()).status == status
        with pytest.raises(EOFError):
            await reader.until("done")
    assert len(script.asked) == 1


async def test_another_content_type_is_final(script: Script) -> None:
    script.say(b"data: x\n\n", kind="text/html")
    async with EventSource(script.url) as reader:
        await reader.until_closed()
    assert reader.events == []


async def test_the_server_says_how_soon_to_come_back(script: Script) -> None:
    script.say(b"retry: 40\n\n")
    script.say(b"data: x\n\n<hold>")
    async with EventSource(script.url, hurry=2) as reader:
        since = asyncio.get_running_loop().time()
        await reader.until("message")
        assert asyncio.get_running_loop().time() - since >= 0.02


async def test_until_finds_what_has_come_before(script: Script) -> None:
    script.say(b"data: a\n\nevent: done\ndata: {}\n\n<hold>")
    async with EventSource(script.url) as reader:
        await reader.until("done")
        assert (await reader.until(lambda event: event.data == "a")).type == "message"
        assert reader.types() == ["done"]
