"""One connection of the load client: turn after turn, each one request or several."""

import asyncio
import json
import os
from typing import cast

from tests.bench import kernel, stamp
from tests.bench.answer import Answer
from tests.bench.plan import Dialect, Plan
from tests.bench.stamp import Stamps
from tests.bench.tally import Tally

_EVENTS = b"Accept: text/event-stream\r\n"


def requests(dialect: Dialect, message: str) -> tuple[bytes, ...]:
    """A turn's requests, each to be sent when the one before is answered. A cookie may be put behind the first line."""
    asked = {"contents": [{"parts": [{"text": message}], "role": "user"}]}
    chat = json.dumps({"message": message}).encode()
    match dialect:
        case Dialect.GEMINI:
            path = b"/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
            return (_post(path, json.dumps(asked).encode(), b"x-goog-api-key: bench\r\n"),)
        case Dialect.ONE_CALL:
            return (_post(b"/chat", chat, _EVENTS),)
        case Dialect.TWO_CALLS:
            return _post(b"/chat", chat), b"GET /stream HTTP/1.1\r\nHost: bench\r\n%b\r\n" % _EVENTS
        case Dialect.TEXT:
            return (_post(b"/generate_text", json.dumps({"prompt": message}).encode()),)
        case Dialect.ALIVE:
            return (b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n",)


def _post(path: bytes, body: bytes, fields: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n%b" % (
        path,
        len(body),
        fields,
        body,
    )


def with_cookie(request: bytes, cookie: bytes) -> bytes:
    if not cookie:
        return request
    start, _, rest = request.partition(b"\r\n")
    return b"%b\r\nCookie: %b\r\n%b" % (start, cookie, rest)


class Visitor(asyncio.Protocol):
    def __init__(self, plan: Plan, tally: Tally) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._plan = plan
        self._tally = tally
        self._requests = requests(plan.dialect, plan.message)
        self._left = plan.turns
        self._step = 0
        self._began = 0
        self._delays = (0.0, 0.0)
        self._answer = Answer()
        self._stamps = Stamps()
        self._seen = False
        self._cookie = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._turn()

    def data_received(self, data: bytes) -> None:
        now = stamp.now()
        answer = self._answer
        head_was_missing = not answer.status
        body = answer.feed(data)
        if head_was_missing and answer.status:
            self._tally.begun += self._step == len(self._requests) - 1 and answer.status == 200
        if answer.streamed and (stamps := self._stamps.feed(body)):
            if not self._seen:
                self._seen = True
                self._tally.first(now, self._began)
            self._tally.arrived(now, stamps)
        if answer.done:
            self._answered(now)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self._fail("connection lost")

    def close(self) -> None:
        """Whatever is open is unfinished."""
        if not self.over.done():
            self._fail("unfinished")

    def _turn(self) -> None:
        if self.over.done():
            return
        self._delays = self._delayed()
        self._step, self._seen, self._began = 0, False, stamp.now()
        self._send()

    def _send(self) -> None:
        self._answer, self._stamps = Answer(), Stamps()
        self._transport.write(with_cookie(self._requests[self._step], self._cookie))

    def _answered(self, now: int) -> None:
        answer = self._answer
        self._cookie = answer.cookie or self._cookie
        if answer.status != 200:
            self._fail(f"status {answer.status}")
        elif answer.trouble or not answer.whole:
            self._fail(answer.trouble or "ended too early")
        elif self._step + 1 < len(self._requests):
            self._step += 1
            self._send()
        elif self._plan.dialect.streams and not answer.streamed:
            self._fail("no stream")
        else:
            self._tally.ended(now, self._began, self._delay())
            self._next_turn(now)

    def _delay(self) -> float:
        """Seconds of the turn in which the plan's process, or this one, waited for a CPU: whichever waited longer."""
        return max(after - before for before, after in zip(self._delays, self._delayed(), strict=True))

    def _delayed(self) -> tuple[float, float]:
        process = self._plan.process
        return (kernel.delayed(process), kernel.delayed(os.getpid())) if process else (0.0, 0.0)

    def _next_turn(self, now: int) -> None:
        self._left -= 1
        if self._left == 0 or (self._left < 0 and now >= self._plan.until):
            self._end()
        elif self._plan.pause:
            asyncio.get_running_loop().call_later(self._plan.pause / 1e6, self._turn)
        else:
            self._turn()

    def _fail(self, why: str) -> None:
        self._tally.failures[why] += 1
        self._end()

    def _end(self) -> None:
        self.over.set_result(None)
        self._transport.abort()
