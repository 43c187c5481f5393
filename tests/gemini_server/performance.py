"""One call played as its script says."""

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

import msgspec

from tests.gemini_server import shapes
from tests.gemini_server.answers import pieces
from tests.gemini_server.calls import Call, Register
from tests.gemini_server.script import Fault, Script
from tests.gemini_server.wire import Connection

_JSON = {"Content-Type": "application/json; charset=UTF-8", "Server": "scaffolding on HTTPServer2"}
_EVENTS = {"Content-Type": "text/event-stream", "Server": "scaffolding on HTTPServer2"}

_LAST_BYTES = {
    "garbage": b"\x00\xff\xfe{]<html>\r\n\r\n\x80data\r\n\r\n",
    "json": b'data: {"candidates": [{"content"\r\n\r\n',
    "shape": b'data: {"candidates": [{"content": {"parts": 7}}]}\r\n\r\n',
}


class Strike(Exception):
    """The script's fault has been played; nothing of the call follows."""


class Performance:
    """Plays ``script`` for ``call`` on ``connection`` and keeps the register up to date."""

    def __init__(self, connection: Connection, register: Register, call: Call, script: Script) -> None:
        self._connection = connection
        self._register = register
        self._call = call
        self._script = script
        self._chance = random.Random(call.id)
        self._shapes = shapes.Shapes(call.model, call.id, shapes.prompt_tokens(call.messages))

    async def play(self) -> None:
        try:
            await self._head()
            if self._call.stream:
                await self._stream()
            else:
                await self._unary()
            self._register.end(self._call, "whole")
        except Strike:
            self._register.end(self._call, "fault")

    async def _head(self) -> None:
        await self._hold_at(-1)
        await asyncio.sleep(self._script.first)
        if self._script.at < 0:
            await self._strike()
        if self._script.status != 200 and not self._script.fault:
            await self._fail()

    async def _fail(self) -> None:
        script = self._script
        headers = {**_JSON, **({"Retry-After": script.retry_after} if script.retry_after else {})}
        body = msgspec.json.encode(shapes.error(script)) if script.body is None else script.body.encode()
        if script.body is not None:
            headers["Content-Type"] = script.type
        await self._connection.answer(script.status, headers, body)
        raise Strike

    async def _stream(self) -> None:
        await self._connection.begin(_EVENTS)
        await self._hold_at(0)
        await self._strike_at(0)
        if self._script.block:
            await self._event(self._shapes.blocked(self._script.block))
            await self._connection.end()
            return
        for index in range(self._script.thoughts):
            await self._pace(index)
            await self._event(self._shapes.thought(f"Let me think about step {index}."))
        for index, answer in enumerate(self._texts()):
            await self._pace(index + self._script.thoughts)
            await self._event(answer)
            self._register.sent_text(self._call)
            await self._hold_at(self._call.chunks)
            await self._strike_at(self._call.chunks)
        if self._script.apart or not self._call.chunks:
            await self._event(self._shapes.finish(self._script.finish))
        await self._connection.end()

    def _texts(self) -> Iterator[dict[str, Any]]:
        texts = pieces(self._call.text, self._script, json=self._wants_json(), call=self._call.id)
        for index, text in enumerate(texts):
            last = index == len(texts) - 1
            yield self._shapes.text(text, self._script.finish if last and not self._script.apart else "")

    async def _unary(self) -> None:
        await self._hold_at(0)
        if self._script.block:
            answer = self._shapes.blocked(self._script.block)
        else:
            texts = pieces(self._call.text, self._script, json=self._wants_json(), call=self._call.id)
            answer = self._shapes.text("".join(texts), self._script.finish)
        await self._connection.answer(200, _JSON, msgspec.json.encode(answer))

    def _wants_json(self) -> bool:
        config = (self._call.body or {}).get("generationConfig", {})
        return bool(config.get("responseMimeType") == "application/json")

    async def _pace(self, index: int) -> None:
        if index:
            await asyncio.sleep(self._script.delay)

    async def _hold_at(self, place: int) -> None:
        if self._script.hold == place:
            await self._register.hold(self._call)

    async def _strike_at(self, place: int) -> None:
        if self._script.fault and self._script.at == place:
            await self._strike()

    async def _strike(self) -> None:
        match self._script.fault:
            case "reset":
                self._connection.reset()
            case "close":
                self._connection.close()
            case fault:
                await self._connection.send(self._last_bytes(fault), self._script.split, self._chance)
                await self._connection.end()
        raise Strike

    def _last_bytes(self, fault: Fault) -> bytes:
        """What comes before a clean end of the stream."""
        match fault:
            case "error":
                return b"data: " + msgspec.json.encode(shapes.error(self._script)) + b"\r\n\r\n"
            case "raw_error":
                return json.dumps(shapes.error(self._script), indent=2).replace("\n", "\r\n").encode() + b"\r\n"
            case _:
                return _LAST_BYTES.get(fault, b"")

    async def _event(self, answer: dict[str, Any]) -> None:
        newline = b"\r\n" if self._script.newline == "crlf" else b"\n"
        event = b"data: " + msgspec.json.encode(answer) + newline * 2
        await self._connection.send(event, self._script.split, self._chance)
