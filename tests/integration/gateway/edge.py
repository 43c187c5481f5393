"""One gateway in this process, its users, and a worker whose every step is the test's."""

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from PIL import Image
from werkzeug.datastructures import Headers

from gateway.app import Gateway, compose
from gateway.settings import GatewaySettings
from gateway.state.connect import Client
from gateway.state.records import Claim, Kind
from tests.client import Answer
from tests.integration.gateway.state.scene import Scene
from tests.servers import RedisServer
from tests.sse import Event, Parser

EVENTS = {"Accept": "text/event-stream"}


def settings_for(server: RedisServer, **more: Any) -> GatewaySettings:
    return GatewaySettings(**{"redis_url": server.url, "retry_milliseconds": 100, "stop_timeout": 1.0, **more})


class Edge:
    def __init__(self, settings: GatewaySettings, scene: Scene, redis: Client | None = None) -> None:
        self.settings = settings
        self.scene = scene
        self.gateway: Gateway = compose(settings, redis=redis)
        self._serving = self.gateway.app.test_app()

    async def __aenter__(self) -> Self:
        await self._serving.startup()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._serving.shutdown()

    def browser(self) -> "Browser":
        return Browser(self)

    async def keys(self) -> list[str]:
        return [key.decode() async for key in self.scene.redis.scan_iter(count=1000)]

    async def claim(self) -> Claim:
        """The worker takes the turn that has waited longest."""
        for _ in range(10):
            ref = await self.scene.queue.pop(0.5)
            # Behind a flushed script cache a hint is quicker than its turn, and is given again.
            if ref is not None and await self.scene.turns.status(ref) is not None:
                return await self.scene.claim(ref)
        raise AssertionError("no turn waits")

    async def work(self, *texts: str, kind: Kind = Kind.DONE) -> Claim:
        """The worker takes a turn, writes its text and ends it."""
        claim = await self.claim()
        for seq, text in enumerate(texts, 1):
            await self.scene.say(claim, seq, text)
        await self.scene.end(claim, len(texts) + 1, kind)
        return claim


class Browser:
    """A user: calls with the cookie that it was given last."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.client = edge.gateway.app.test_client()

    async def call(self, method: str, path: str, **more: Any) -> Answer:
        response = await self.client.open(path, method=method, **more)
        body = await response.get_data(as_text=False)
        assert isinstance(body, bytes)
        return Answer(response.status_code, dict(response.headers), body)

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.call("GET", path, **more)

    async def post(self, path: str, **more: Any) -> Answer:
        return await self.call("POST", path, **more)

    async def chat(self, message: str = "hello") -> None:
        assert (await self.post("/chat", json={"message": message})).okay == {"success": True}

    async def upload(self, *files: tuple[str, bytes]) -> Answer:
        """A form as browsers write it; Quart's own test form holds one file per name."""
        boundary = b"----boundary"
        parts = b"".join(
            b'--%b\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n'
            b"Content-Type: application/octet-stream\r\n\r\n%b\r\n" % (boundary, name.encode(), content)
            for name, content in files
        )
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary.decode()}"}
        return await self.post("/upload", data=parts + b"--%b--\r\n" % boundary, headers=headers)

    async def read(self, path: str = "/stream", **more: Any) -> tuple[Answer, list[Event]]:
        """A stream to its end."""
        answer = await self.get(path, **more)
        assert answer.headers["content-type"] == "text/event-stream"
        return answer, Parser().feed(answer.body)

    @asynccontextmanager
    async def stream(
        self, path: str = "/stream", headers: Mapping[str, str] | None = None
    ) -> AsyncIterator["OpenStream"]:
        """An open stream; leaving hangs up."""
        connection = self.client.request(path, headers=Headers(dict(headers or {})))
        async with connection:
            await connection.send_complete()
            reader = OpenStream(connection)
            try:
                yield reader
            finally:
                await connection.disconnect()


class OpenStream:
    def __init__(self, connection: Any) -> None:
        self.parser = Parser()
        self.received = b""
        self.events: list[Event] = []
        self._connection = connection

    @property
    def headers(self) -> Headers:
        headers: Headers = self._connection.headers
        return headers

    async def until(self, kind: str) -> list[Event]:
        """All events, as soon as one of that type has come."""
        while not any(event.type == kind for event in self.events):
            await self.more()
        return self.events

    async def more(self) -> bytes:
        chunk: bytes = await asyncio.wait_for(self._connection.receive(), 5)
        self.received += chunk
        self.events += self.parser.feed(chunk)
        return chunk


def picture(size: tuple[int, int] = (12, 8), colour: str = "red", form: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, form)
    return out.getvalue()
