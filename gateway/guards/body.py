"""Request bodies, counted while they arrive, in front of Quart.

Quart's own limit looks at what it holds at the moment, so a body that is read as it comes slips past it; and nothing
there ends a body that comes a byte a second. Here a body that is too large, too slow or one too many ends for Quart
where that is found, and its route learns the reason from ``check``. The rest is read and dropped while the answer goes
out: closing a connection with unread bytes in it would reset it under the answer (RFC 9112 section 9.6).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, cast

from quart import request

from gateway.extensions import MAILBOX
from gateway.mailbox import Mailbox
from gateway.problems import Passing, Problem, TooLarge, TooSlow

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_KEY = "gateway.body"
_LINGER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """``timeout`` seconds, and one more for each ``min_rate`` bytes that have arrived."""

    by_path: Mapping[str, int]
    otherwise: int
    timeout: float
    min_rate: int
    budget: int
    """Bytes that all bodies together may hold at one time."""
    of_one_client: int = 64
    """Bodies that one client may have begun and not ended: each holds a connection."""


async def read() -> bytes:
    """The whole body of the request being answered. Raises TooLarge, TooSlow, Passing."""
    content = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    check()
    return content


def check() -> None:
    """Raises the reason why the body ended early, if it did. To be called after a body was read, however it was."""
    body = cast("_Body | None", request.scope.get(_KEY))
    if body is not None and body.problem is not None:
        raise body.problem


class BodyGuard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, limits: BodyLimits, client: Callable[[Scope], str] = lambda _: "") -> None:
        """``client`` names who calls."""
        self._app = app
        self._limits = limits
        self._client = client
        self._held = 0
        self._unended: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(self, self._limits, scope, receive, send)
        scope[_KEY] = body
        try:
            await self._app(scope, body.receive, body.send)
        finally:
            body.let_go()
            body.end()
            del scope[_KEY]

    def admit(self, scope: Scope) -> str | None:
        """Counts a body that begins and names whose it is; None when that client has begun too many."""
        client = self._client(scope)
        if self._unended[client] >= self._limits.of_one_client:
            return None
        self._unended[client] += 1
        return client

    def ended(self, client: str) -> None:
        self._unended[client] -= 1
        if not self._unended[client]:
            del self._unended[client]

    def hold(self, size: int) -> bool:
        """Counts bytes, or takes them back; False when all bodies together have become too large."""
        self._held += size
        return self._held <= self._limits.budget


@dataclass(slots=True)
class _Body:
    guard: BodyGuard
    limits: BodyLimits
    scope: Scope
    upstream: Receive
    downstream: Send
    problem: Problem | None = field(init=False, default=None)
    seen: int = field(init=False, default=0)
    _held: int = field(init=False, default=0)
    _limit: int = field(init=False)
    _began: float = field(init=False)
    _announced: bool = field(init=False)
    """A body follows the head. (Where none does, the server says so a moment after the head.)"""
    _answered: bool = field(init=False, default=False)
    """The answer has begun."""
    _cut: bool = field(init=False, default=False)
    _ended: bool = field(init=False, default=False)
    _lingering: asyncio.Future[None] | None = field(init=False, default=None)
    _client: str | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._limit = self.limits.by_path.get(self.scope["path"], self.limits.otherwise)
        self._began = asyncio.get_running_loop().time()
        headers = dict(self.scope["headers"])
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._limit:
            self.problem = self._too_large()
        self._announced = length != b"0" or b"transfer-encoding" in headers
        if self._announced and self.problem is None:
            self._client = self.guard.admit(self.scope)
            if self._client is None:
                self.problem = _busy()

    def receive(self) -> Awaitable[Message]:
        return self._disconnect() if self._cut or self._ended else self._more()

    async def _more(self) -> Message:
        if self.problem is None:
            message = await self._next()
            if message is not None:
                return message
        self._cut = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _next(self) -> Message | None:
        """The next message, or None when the body is at fault."""
        try:
            message = await (self.upstream() if self._is_there() else self._in_time())
        except TimeoutError:
            self.problem = TooSlow()
            return None
        if message["type"] != "http.request":
            self.end()
            return message
        size = len(message.get("body", b""))
        self.seen += size
        if not self._hold(size):
            self.problem = _busy()
        elif self.seen > self._limit:
            self.problem = self._too_large()
        if not message.get("more_body", False):
            self.end()
        return message if self.problem is None else None

    def _hold(self, size: int) -> bool:
        if self._answered:  # Nobody reads it any more.
            return True
        self._held += size
        return self.guard.hold(size)

    def _is_there(self) -> bool:
        mailbox: Mailbox | None = self.scope.get("extensions", {}).get(MAILBOX)
        return mailbox is not None and mailbox.whole

    async def _in_time(self) -> Message:
        limits = self.limits
        async with asyncio.timeout_at(self._began + limits.timeout + self.seen / limits.min_rate):
            return await self.upstream()

    async def _disconnect(self) -> Message:
        """Drops what still comes of the body, and returns when the caller is gone."""
        while True:
            message = await self.upstream()
            if not message.get("more_body", False):
                self.end()
            if message["type"] != "http.request":
                return message

    def end(self) -> None:
        """Nothing more will come of it."""
        self._ended = True
        if self._lingering is not None and not self._lingering.done():
            self._lingering.set_result(None)
        client, self._client = self._client, None
        if client is not None:
            self.guard.ended(client)

    def let_go(self) -> None:
        """What arrived is not needed any more: it was read, or never will be."""
        self.guard.hold(-self._held)
        self._held = 0

    async def send(self, message: Message) -> None:
        self._answered = True
        self.let_go()
        early = self._announced and not self._ended
        if early and message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"connection", b"close")]
        if early and message["type"] == "http.response.body" and not message.get("more_body", False):
            await self.downstream({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self.downstream(message)

    async def _linger(self) -> None:
        if isinstance(self.problem, TooSlow) or self._ended:
            return
        self._lingering = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                await self._lingering
        except TimeoutError:
            return

    def _too_large(self) -> Problem:
        return TooLarge(f"The request's body is larger than {self._limit} bytes.")


def _busy() -> Problem:
    return Passing("busy", "Too many uploads at one time; try again in a moment.", 5)
