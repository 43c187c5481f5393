"""A browser's EventSource for tests (WHATWG HTML, 9.2.2 to 9.2.4), over aiohttp.

    async with EventSource(url, cookies) as reader:
        await reader.until("done")
        assert reader.text == "…"

Reconnects by itself after a clean end or a broken connection, after the time the server asked for by ``retry``, with
``Last-Event-ID``. Any status but 200 (204 among them) and any other content type close it for good.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp

from tests.sse import Event, Parser, text_of

DEFAULT_RETRY_MS = 3000


@dataclass
class Connection:
    """One request of the reader's and what came of it; ``status`` is 0 where no answer came."""

    last_event_id: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)
    raw: bytes = b""


class EventSource:
    """``hurry`` divides the waits between connections. ``jar`` may be shared by readers of one browser.

    A callable ``url`` is asked before each connection: the replica that a balancer would choose.
    """

    def __init__(
        self,
        url: str | Callable[[], str],
        jar: aiohttp.abc.AbstractCookieJar | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        last_event_id: str = "",
        hurry: float = 1.0,
    ) -> None:
        self.events: list[Event] = []
        self.connections: list[Connection] = []
        self.last_event_id = last_event_id
        self.retry_ms = DEFAULT_RETRY_MS
        self.closed = False
        self._url = url
        self._jar = jar
        self._headers = dict(headers or {})
        self._hurry = hurry
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    @property
    def text(self) -> str:
        return text_of(self.events)

    def types(self) -> list[str]:
        """The named events' types, in order."""
        return [event.type for event in self.events if event.type != "message"]

    async def until(self, wanted: str | Callable[[Event], bool]) -> Event:
        """The first event of this type, or for which the callable is true, among those that came and will come.

        Raises ``EOFError`` when the reader closed for good without it.
        """
        matches: Callable[[Event], bool] = (lambda event: event.type == wanted) if isinstance(wanted, str) else wanted
        found: list[Event] = []
        seen = 0

        def there() -> bool:
            nonlocal seen
            found.extend(filter(matches, self.events[seen:]))
            seen = len(self.events)
            return bool(found) or self.closed

        await self.when(there)
        if not found:
            raise EOFError(f"closed with status {self.connections[-1].status} before {wanted!r}")
        return found[0]

    async def until_closed(self) -> Connection:
        """Waits until the reader gave up for good; the connection that made it."""
        await self.when(lambda: self.closed)
        return self.connections[-1]

    async def when(self, there: Callable[[], bool]) -> None:
        """Waits for anything about the reader; asked again whenever bytes, a status or an end arrived."""
        async with self._changed:
            await self._changed.wait_for(there)

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled() and error is None:
                self._task.result()

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None)
        jar = self._jar if self._jar is not None else aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout) as session:
            while not self.closed:
                try:
                    await self._connect(session)
                except (aiohttp.ClientError, OSError):
                    await self._tell()
                if not self.closed:
                    await asyncio.sleep(self.retry_ms / 1000 / self._hurry)

    async def _connect(self, session: aiohttp.ClientSession) -> None:
        connection = Connection(self.last_event_id)
        self.connections.append(connection)
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store", **self._headers}
        if self.last_event_id:
            headers["Last-Event-ID"] = self.last_event_id
        url = self._url if isinstance(self._url, str) else self._url()
        async with session.get(url, headers=headers) as answer:
            connection.headers = answer.headers
            connection.status = answer.status
            self.closed = answer.status != 200 or answer.content_type != "text/event-stream"
            await self._tell()
            if not self.closed:
                await self._read(answer, connection)

    async def _read(self, answer: aiohttp.ClientResponse, connection: Connection) -> None:
        parser = Parser()
        connection.comments = parser.comments
        blocks = 0
        async for chunk in answer.content.iter_any():
            connection.raw += chunk
            self.events += parser.feed(chunk)
            if parser.blocks > blocks:
                blocks = parser.blocks
                self.last_event_id = parser.last_event_id
            if parser.retry is not None:
                self.retry_ms = parser.retry
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
