"""One user of the API, as a browser or a program would call it."""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from types import TracebackType
from typing import Any, Self

import aiohttp
from PIL import Image

from tests.eventsource import EventSource

ENDS = ("done", "stopped", "failed")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def okay(self) -> Any:
        """The JSON of an answer that must have been a success."""
        assert self.status == 200, f"{self.status} {self.body[:500]!r}"
        return self.json

    def refused(self, status: int, code: str) -> None:
        """Checks an error's status, and that its body says what every error's body says, and no more."""
        assert (self.status, self.json.get("error")) == (status, code), f"{self.status} {self.body[:500]!r}"
        assert set(self.json) == {"success", "error", "message"}
        assert self.json["success"] is False
        assert self.json["message"]


class User:
    """A cookie jar, and replicas to ask: a callable ``where`` names the one for each call. An async context manager."""

    def __init__(self, where: str | Callable[[], str]) -> None:
        self.jar: aiohttp.CookieJar
        self._where = where
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self.jar = aiohttp.CookieJar(unsafe=True)
        self._http = aiohttp.ClientSession(cookie_jar=self.jar)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    def url(self, path: str, at: str | None = None) -> str:
        return (at or (self._where if isinstance(self._where, str) else self._where())) + path

    async def call(self, method: str, path: str, *, at: str | None = None, **more: Any) -> Answer:
        async with self._http.request(method, self.url(path, at), **more) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def chat(self, message: str, *, at: str | None = None, key: str | None = None) -> None:
        headers = {"Idempotency-Key": key} if key else {}
        answer = await self.call("POST", "/chat", at=at, json={"message": message}, headers=headers)
        assert answer.okay == {"success": True}

    async def upload(self, *images: bytes, name: str = "picture.png", at: str | None = None) -> None:
        form = aiohttp.FormData()
        for image in images:
            form.add_field("file", image, filename=name, content_type="image/png")
        assert (await self.call("POST", "/upload", at=at, data=form)).okay["success"] is True

    def stream(
        self, query: str = "", *, at: str | None = None, last_event_id: str = "", hurry: float = 1.0
    ) -> EventSource:
        """A browser's EventSource; without ``at`` it asks any replica at each of its connections."""
        return EventSource(lambda: self.url("/stream" + query, at), self.jar, last_event_id=last_event_id, hurry=hurry)

    async def ask(self, message: str) -> EventSource:
        """One turn from the message to its end."""
        await self.chat(message)
        return await self.read()

    async def read(self) -> EventSource:
        """The pending or running turn to its end."""
        async with self.stream() as reader:
            await reader.until(lambda event: event.type in ENDS)
        return reader

    async def history(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = (await self.call("GET", "/history")).okay["messages"]
        return messages

    async def conversation(self) -> list[tuple[str, str]]:
        """Who said what, oldest first."""
        return [(message["role"], message["text"]) for message in await self.history()]

    async def session(self) -> dict[str, Any]:
        session: dict[str, Any] = (await self.call("GET", "/session")).okay
        return session

    async def stop(self, turn: str | None = None, *, at: str | None = None) -> bool:
        body = {"turn": turn} if turn else {}
        answer = (await self.call("POST", "/stop", at=at, json=body)).okay
        assert answer["success"] is True
        stopped: bool = answer["stopped"]
        return stopped

    async def generate_text(self, prompt: str, *, at: str | None = None, **more: Any) -> Answer:
        return await self.call("POST", "/generate_text", at=at, json={"prompt": prompt, **more})


def prompt(about: str, directives: str = "") -> str:
    """A text that no other test sends, with directives for the stand-in Gemini."""
    return f"{about} {secrets.token_hex(6)}" + (f" [[{directives}]]" if directives else "")


def picture(size: tuple[int, int] = (8, 8), *, kind: str = "PNG") -> bytes:
    """An image that no other call makes."""
    image = Image.frombytes("RGB", size, secrets.token_bytes(3 * size[0] * size[1]))
    content = BytesIO()
    image.save(content, kind)
    return content.getvalue()
