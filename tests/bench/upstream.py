"""``python -m tests.bench.upstream``: a stand-in Gemini for load. Prints its port as JSON, then serves until ended.

It answers ``streamGenerateContent`` as each prompt's directive says, in Gemini's shape (https://ai.google.dev/api/
generate-content, server-sent events), and nothing else; ``POST /end`` finishes all answers at once. Everything but the
time is encoded beforehand, and all streams hang on one timer, so that a chunk costs it a few microseconds.
"""

import asyncio
import json
import sys
from typing import cast

import uvloop

from tests.bench import chunks, stamp
from tests.bench.directive import Directive
from tests.bench.request import Request, Requests
from tests.bench.wheel import Wheel

_FLOOD_AT_ONCE = 64


class Answer:
    """One call being answered. What it still has on the wheel when it ended does nothing."""

    def __init__(self, transport: asyncio.WriteTransport, wheel: Wheel, directive: Directive, number: int) -> None:
        self.ended = False
        self._transport = transport
        self._wheel = wheel
        self._directive = directive
        self._sent = 0
        self._due = directive.first_due(number) or stamp.now() / 1e6
        self._begun = False
        self._paused = False

    def begin(self) -> None:
        self._transport.write(chunks.HEAD)
        if self._directive.at:
            self._wheel.at(self._due, self._on_time)
        else:
            self._on_time()

    def pause(self, *, paused: bool) -> None:
        """The reader is slower than we: a flood waits, a measured pace does not."""
        was, self._paused = self._paused, paused
        if was and not paused and self._begun and not self._directive.every:
            self._flood()

    def finish(self) -> None:
        if not self.ended:
            self.ended = True
            self._transport.write(chunks.end(self._sent))

    def _on_time(self) -> None:
        self._begun = True
        if not self._directive.every:
            self._flood()
        elif not self.ended:
            self._due += self._directive.every / 1e6
            if self._send(1):
                self._wheel.at(self._due, self._on_time)

    def _flood(self) -> None:
        if self.ended or self._paused:
            return
        if self._send(_FLOOD_AT_ONCE):
            asyncio.get_running_loop().call_soon(self._flood)

    def _send(self, count: int) -> bool:
        """So many chunks, or what is left; the end goes with the last. True while there is more."""
        moment, first = stamp.now(), self._sent
        self._sent = min(first + count, self._directive.count)
        if self._sent > first:
            self._transport.write(b"".join([chunks.chunk(number, moment) for number in range(first, self._sent)]))
        if self._sent == self._directive.count:
            self.finish()
        return not self.ended


class Connection(asyncio.Protocol):
    def __init__(self, upstream: "Upstream") -> None:
        self.answer: Answer | None = None
        self._upstream = upstream
        self._requests = Requests()
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._upstream.connections.add(self)

    def data_received(self, data: bytes) -> None:
        for request in self._requests.feed(data):
            self._serve(request)

    def _serve(self, request: Request) -> None:
        if b":streamGenerateContent" in request.target:
            self.answer = self._upstream.answer(self._transport, request.body)
            self.answer.begin()
        elif request.target == b"/end":
            self._upstream.end_all()
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    def pause_writing(self) -> None:
        if self.answer is not None:
            self.answer.pause(paused=True)

    def resume_writing(self) -> None:
        if self.answer is not None:
            self.answer.pause(paused=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._upstream.connections.discard(self)
        if self.answer is not None:
            self.answer.ended = True


class Upstream:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.connections: set[Connection] = set()
        self._wheel = Wheel(loop)
        self._calls = 0

    def answer(self, transport: asyncio.WriteTransport, body: bytes) -> Answer:
        self._calls += 1
        return Answer(transport, self._wheel, Directive.find(body), self._calls)

    def end_all(self) -> None:
        for connection in self.connections:
            if connection.answer is not None:
                connection.answer.finish()


async def main() -> None:
    loop = asyncio.get_running_loop()
    upstream = Upstream(loop)
    server = await loop.create_server(lambda: Connection(upstream), "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
