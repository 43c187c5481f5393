"""Reading an answer in the step in which it arrives: over real connections of aiohttp's, whatever arrives together."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import Mock

import aiohttp
import pytest
import uvloop

from gateway.state.records import Usage
from tests.pages import self_signed
from tests.sink import Heard
from workers.intake import Intake
from workers.reader import GarbledStream, Response

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
PATIENCE = 0.3


def said(*texts: str) -> bytes:
    """One chunk of HTTP with an event for each text."""
    events = b"".join(
        b"data: %b\r\n\r\n" % json.dumps({"candidates": [{"content": {"parts": [{"text": text}]}}]}).encode()
        for text in texts
    )
    return b"%x\r\n%b\r\n" % (len(events), events)


class Upstream:
    """Answers each request with a head, and then with what a test writes."""

    def __init__(self) -> None:
        self.url = ""
        self.connections = 0
        self.writer: asyncio.StreamWriter
        self._asked = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writer = writer
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            self._asked.set()
        writer.close()

    async def asked(self) -> None:
        await self._asked.wait()
        self._asked.clear()

    def write(self, *pieces: bytes) -> None:
        self.writer.write(b"".join(pieces))


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    async with await asyncio.start_server(upstream.serve, "127.0.0.1", 0) as listener:
        upstream.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield upstream


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@asynccontextmanager
async def answer(
    session: aiohttp.ClientSession, upstream: Upstream, *first: bytes
) -> AsyncIterator[aiohttp.ClientResponse]:
    """A response whose head has come, together with the first of its body."""
    asking = asyncio.ensure_future(session.post(upstream.url).__aenter__())
    await upstream.asked()
    upstream.write(HEAD, *first)
    async with await asking as response:
        yield response


def intake(response: aiohttp.ClientResponse, sink: Heard) -> Intake:
    def take(response: Response) -> None:
        for candidate in response.candidates or ():
            for part in (candidate.content and candidate.content.parts) or ():
                sink.put(part.text or "", Usage())

    return Intake(response, take, sink, lambda: PATIENCE)


async def read(response: aiohttp.ClientResponse, sink: Heard) -> None:
    await intake(response, sink).read(asyncio.get_running_loop().time() + PATIENCE)


async def test_what_came_with_the_head_is_read_without_waiting(
    upstream: Upstream, session: aiohttp.ClientSession
) -> None:
    heard = Heard()
    async with answer(session, upstream, said("all ", "of it"), LAST) as response:
        await read(response, heard)
    assert heard.text == "all of it"


async def test_text_is_put_in_the_step_in_which_it_arrives(upstream: Upstream, session: aiohttp.ClientSession) -> None:
    arrived: asyncio.Queue[str] = asyncio.Queue()
    heard = Heard(arrived.put_nowait)
    async with answer(session, upstream, said("a")) as response, asyncio.TaskGroup() as tasks:
        tasks.create_task(read(response, heard))
        for text in "bcd":
            await arrived.get()
            upstream.write(said(text))
        await arrived.get()
        upstream.write(LAST)
    assert heard.text == "abcd"


async def test_others_have_their_turn_while_much_is_taken(upstream: Upstream, session: aiohttp.ClientSession) -> None:
    texts = [f"{number} " for number in range(100)]
    steps = 0

    async def count() -> None:
        nonlocal steps
        while len(heard.pieces) < len(texts):
            steps += bool(heard.pieces)
            await asyncio.sleep(0)

    heard = Heard()
    async with answer(session, upstream) as response, asyncio.TaskGroup() as tasks:
        tasks.create_task(read(response, heard))
        tasks.create_task(count())
        upstream.write(said(*texts), LAST)
    assert heard.text == "".join(texts)
    assert steps >= 5


async def test_what_arrives_while_there_is_no_room_is_taken_afterwards(
    upstream: Upstream, session: aiohttp.ClientSession
) -> None:
    full, room = asyncio.Event(), asyncio.Event()

    def fill(_: str) -> None:
        heard.full = True
        full.set()

    async def make_room() -> None:
        if heard.full:
            await room.wait()
            heard.full = False

    heard = Heard(fill)
    heard.make_room = make_room
    async with answer(session, upstream) as response, asyncio.TaskGroup() as tasks:
        tasks.create_task(read(response, heard))
        upstream.write(said("one ", "two "))
        await full.wait()
        upstream.write(said("three ", "four "), said("five"), LAST)
        while not response.content.is_eof():
            await asyncio.sleep(0)
        assert heard.text == "one "
        room.set()
    assert heard.text == "one two three four five"


async def test_a_connection_is_given_back_with_its_own_protocol(
    upstream: Upstream, session: aiohttp.ClientSession
) -> None:
    """Whoever waits for it may get it before the one who read is back."""
    for text in ("one", "two", "three"):
        heard = Heard()
        async with answer(session, upstream) as response, asyncio.TaskGroup() as tasks:
            assert response.connection is not None
            transport, protocol = response.connection.transport, response.connection.protocol
            assert transport is not None
            reading = tasks.create_task(read(response, heard))
            await asyncio.sleep(0)
            assert transport.get_protocol() is not protocol
            upstream.write(said(text), LAST)
            while not response.content.is_eof():
                await asyncio.sleep(0)
            assert transport.get_protocol() is protocol
            await reading
        assert heard.text == text
    assert upstream.connections == 1


async def test_silence_is_a_timeout(upstream: Upstream, session: aiohttp.ClientSession) -> None:
    heard = Heard()
    async with answer(session, upstream, said("and then")) as response:
        with pytest.raises(TimeoutError):
            await read(response, heard)
    assert heard.text == "and then"


async def test_a_connection_that_breaks_is_told_behind_what_came(
    upstream: Upstream, session: aiohttp.ClientSession
) -> None:
    heard = Heard()
    async with answer(session, upstream) as response, asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(_expect(aiohttp.ClientPayloadError, response, heard))
        upstream.write(said("half "))
        upstream.writer.close()
    await reading
    assert heard.text == "half "


async def test_a_loss_that_is_told_past_the_tap_is_noticed_all_the_same() -> None:
    """TLS layers look up whom to tell when they learn of it, and tell later."""
    loop = asyncio.get_running_loop()
    content = aiohttp.StreamReader(Mock(), 1 << 16, loop=loop)
    response = Mock(content=content)
    response.connection.transport.is_closing.return_value = True
    loop.call_soon(content.set_exception, aiohttp.ClientPayloadError())
    with pytest.raises(aiohttp.ClientPayloadError):
        await read(response, Heard())


@pytest.mark.parametrize("new_event_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_over_tls_a_connection_that_breaks_at_once_is_told_at_once(
    new_event_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(self_signed("localhost"))
    secured = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secured.load_cert_chain(certificate)

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + said("half"))
        writer.close()

    async def main() -> None:
        listener = await asyncio.start_server(break_off, "127.0.0.1", 0, ssl=secured)
        url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with listener, aiohttp.ClientSession() as session:
            for _ in range(30):
                heard = Heard()
                async with session.post(url, ssl=False) as response:
                    await _expect(aiohttp.ClientPayloadError, response, heard)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())


async def test_garbage_is_told_behind_what_came_with_it(upstream: Upstream, session: aiohttp.ClientSession) -> None:
    heard = Heard()
    async with answer(session, upstream) as response, asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(_expect(GarbledStream, response, heard))
        upstream.write(said("fine "), b"7\r\n<html>\n\r\n")
    await reading
    assert heard.text == "fine "


async def _expect(error: type[Exception], response: aiohttp.ClientResponse, heard: Heard) -> None:
    with pytest.raises(error):
        await read(response, heard)
