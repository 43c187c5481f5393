"""What the stand-in remembers of a call."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

Ended = Literal["", "whole", "fault", "disconnected", "shutdown"]


class Call(msgspec.Struct, kw_only=True):
    """One request to a model. The package's docstring explains each field."""

    id: int
    at: float
    model: str
    stream: bool
    key: str
    connection: int
    text: str
    messages: list[tuple[str, list[str]]]
    body: dict[str, Any] | None = None
    chunks: int = 0
    held: bool = False
    ended: Ended = ""
    ended_at: float | None = None


class Register:
    """All calls in order, with a version that every change raises, and a way to wait for a change."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.version = 0
        self._changed = asyncio.Event()
        self._releases: dict[int, asyncio.Event] = {}
        self._last_id = 0

    def begin(self, *, model: str, stream: bool, key: str, connection: int, body: dict[str, Any]) -> Call:
        self._last_id += 1
        messages = summary(body)
        text = next((text_of(message) for message in reversed(messages) if message[0] == "user"), "")
        call = Call(
            id=self._last_id,
            at=time.monotonic(),
            model=model,
            stream=stream,
            key=key,
            connection=connection,
            text=text,
            messages=messages,
            body=body,
        )
        self.calls.append(call)
        self._releases[call.id] = asyncio.Event()
        self._touch()
        return call

    def sent_text(self, call: Call) -> None:
        call.chunks += 1
        self._touch()

    def end(self, call: Call, how: Ended) -> None:
        call.held, call.ended, call.ended_at = False, how, time.monotonic()
        self._touch()

    async def hold(self, call: Call) -> None:
        call.held = True
        self._touch()
        await self._releases[call.id].wait()
        call.held = False
        self._touch()

    def release(self, call: int | None = None) -> None:
        """Lets one call, or every held one, go on; a call released before it is held is not held at all."""
        for number in [one.id for one in self.calls if one.held] if call is None else [call]:
            self._releases[number].set()

    def clear(self) -> None:
        self.calls.clear()
        self._touch()

    def earlier(self, call: Call) -> int:
        """How many calls with the same text came before this one."""
        return sum(1 for one in self.calls if one.text == call.text and one.id < call.id)

    async def wait_for(self, holds: Callable[[Sequence[Call]], bool], timeout: float = 15.0) -> None:
        """Returns once ``holds`` of the calls; raises ``TimeoutError`` with what they were instead."""
        try:
            async with asyncio.timeout(timeout):
                while not holds(self.calls):
                    await self._changed.wait()
        except TimeoutError:
            seen = [(one.id, one.text[:60], one.chunks, one.held, one.ended) for one in self.calls]
            raise TimeoutError(f"the stand-in saw (id, text, chunks, held, ended): {seen}") from None

    def _touch(self) -> None:
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()


def summary(body: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Roles and parts of a request, inline bytes as ``<image/png 68>`` (their base64 length becomes bytes)."""
    contents = body.get("contents") or []
    return [(content.get("role", ""), [_part(part) for part in content.get("parts") or []]) for content in contents]


def text_of(message: tuple[str, list[str]]) -> str:
    return "\n".join(part for part in message[1] if not part.startswith("<image/"))


def _part(part: dict[str, Any]) -> str:
    if "inlineData" in part:
        data = part["inlineData"]
        size = len(data["data"]) // 4 * 3 - data["data"].count("=")
        return f"<{data['mimeType']} {size}>"
    return str(part.get("text", ""))
