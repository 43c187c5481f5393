"""How a replica leaves, in the order in which it happens.

1. At the signal ``/readyz`` turns to 503. All else is served as before, until the balancer has had time to notice.
2. Streams end between two events and tell their readers to come back; new ones are sent away. Nothing is accepted any
   more, and requests in flight go on.
3. Shortly before the deadline, requests still in flight are ended as if their callers had hung up, so that the turns of
   ``POST /generate_text`` are stopped.
4. At the deadline the process ends, whatever is open.

Each further signal goes on to the next step at once.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from gateway.guards.body import ASGIApp, Message, Receive, Scope, Send
from gateway.problems import Draining

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LAST_CALL_SECONDS = 2.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DrainTimes:
    """Seconds from the signal."""

    notice: float
    deadline: float

    @property
    def last_call(self) -> float:
        return max(self.notice, self.deadline - _LAST_CALL_SECONDS, self.deadline / 2)


class Drain:
    def __init__(self, times: DrainTimes, traffic: "Traffic", end_streams: Callable[[], None]) -> None:
        self.closing = asyncio.Event()
        """Nothing is accepted any more: the server's trigger to shut down."""
        self._times = times
        self._traffic = traffic
        self._end_streams = end_streams
        self._begun = asyncio.Event()
        self._again = asyncio.Event()

    @property
    def begun(self) -> bool:
        return self._begun.is_set()

    def begin(self) -> None:
        """What a signal does."""
        (self._again if self.begun else self._begun).set()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT begin, for as long as the scope lasts."""
        loop = asyncio.get_running_loop()
        for name in _SIGNALS:
            loop.add_signal_handler(name, self.begin)
        try:
            yield
        finally:
            for name in _SIGNALS:
                loop.remove_signal_handler(name)

    async def run(self) -> None:
        """Waits for the signal, then takes the steps; returns when it is time to end, whatever is open."""
        await self._begun.wait()
        began = asyncio.get_running_loop().time()
        log.info("draining", requests=self._traffic.open)
        self._traffic.leaving = True
        await self._until(began + self._times.notice)
        self._end_streams()
        self.closing.set()
        await self._until(began + self._times.last_call)
        if self._traffic.open:
            log.warning("requests_cut_off", requests=self._traffic.open)
        self._traffic.cut()
        await self._until(began + self._times.deadline)

    async def _until(self, moment: float) -> None:
        """Until that moment by the loop's clock, or until the next signal."""
        self._again.clear()
        try:
            async with asyncio.timeout_at(moment):
                await self._again.wait()
        except TimeoutError:
            return


class Traffic:
    """ASGI middleware that knows the requests in flight and can end them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.leaving = False
        """Connections are not kept for another request."""
        self._requests: set[_Request] = set()
        self._over = False

    @property
    def open(self) -> int:
        return len(self._requests)

    def cut(self) -> None:
        """Ends every request, now and from now on, as if its caller had hung up."""
        self._over = True
        for request in self._requests:
            request.cut()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(self, send)
        self._requests.add(request)
        try:
            if not self._over:
                await self._app(scope, receive, request.send)
        except asyncio.CancelledError:
            if not request.is_only_cut:
                raise
        finally:
            self._requests.discard(request)
            request.forget_the_cut()
        if self._over:
            await request.regret()


class _Request:
    __slots__ = ("_answered", "_cut", "_send", "_task", "_traffic")

    def __init__(self, traffic: Traffic, send: Send) -> None:
        self._traffic = traffic
        self._send = send
        self._task = asyncio.current_task()
        self._cut = False
        self._answered = False

    def cut(self) -> None:
        if not self._cut and self._task is not None:
            self._cut = self._task.cancel()

    @property
    def is_only_cut(self) -> bool:
        """It is cancelled by nobody else."""
        return self._cut and self._task is not None and self._task.cancelling() == 1

    def forget_the_cut(self) -> None:
        """The task goes on: it may have an answer to give."""
        if self._cut and self._task is not None:
            self._task.uncancel()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._answered = True
            named = {name for name, _ in message["headers"]}
            if self._traffic.leaving and b"connection" not in named:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
        await self._send(message)

    async def regret(self) -> None:
        """The answer of a request that was cut before it had one."""
        if self._answered:
            return
        problem = Draining()
        headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
        headers += [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": problem.encoded(), "more_body": False})
