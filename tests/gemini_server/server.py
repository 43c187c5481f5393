"""The stand-in's server: listens, picks each call's script, and answers the control API."""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec

from tests.gemini_server import shapes
from tests.gemini_server.calls import Call, Register
from tests.gemini_server.control import control_answer
from tests.gemini_server.performance import Performance
from tests.gemini_server.script import Queued, Script, directives, has_directives
from tests.gemini_server.wire import Connection, Request

_JSON = {"Content-Type": "application/json"}


class GeminiServer:
    """Use as an async context manager. ``key``: the one API key it accepts (``None``: any)."""

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, control_port: int = 0, key: str | None = None
    ) -> None:
        self._host = host
        self._port = port
        self._control_port = control_port
        self._key = key
        self._register = Register()
        self._queued: list[Queued] = []
        self._default = Script()
        self._connections: set[Connection] = set()
        self._count = 0
        self._failures: list[Exception] = []
        self._listener: asyncio.Server | None = None
        self._control: asyncio.Server

    @property
    def url(self) -> str:
        """What GOOGLE_GEMINI_BASE_URL is set to. Stays the same while connections are refused."""
        return f"http://{self._host}:{self._port}"

    @property
    def control_url(self) -> str:
        return f"http://{self._host}:{self._control_port}"

    @property
    def version(self) -> int:
        """Raised by everything that happens to a call."""
        return self._register.version

    @property
    def calls(self) -> Sequence[Call]:
        return self._register.calls

    async def __aenter__(self) -> Self:
        self._control, self._control_port = await self._bind(self._control_port)
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.refuse()
        self._control.close()
        tasks = [connection.task for connection in self._connections]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._failures:
            raise ExceptionGroup("the stand-in Gemini failed", self._failures)

    def script(self, script: Script, *, match: str = "", model: str = "", times: int = 1) -> None:
        """For the next ``times`` calls (0: for ever) whose last user text contains ``match`` and that ask ``model``."""
        self._queued.append(Queued(script=script, match=match, model=model, times=times))

    def default(self, script: Script) -> None:
        self._default = script

    def release(self, call: int | None = None) -> None:
        self._register.release(call)

    async def wait_for(self, holds: Callable[[Sequence[Call]], bool], timeout: float = 15.0) -> None:
        """Returns once ``holds`` of the calls so far; ``TimeoutError`` tells what they were instead."""
        await self._register.wait_for(holds, timeout)

    async def refuse(self) -> None:
        """From now on connections are refused; open ones are closed, those with a call when it has ended."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            for connection in [one for one in self._connections if not one.busy]:
                connection.close()

    async def listen(self) -> None:
        if self._listener is None:
            self._listener, self._port = await self._bind(self._port)

    def clear(self) -> None:
        self._register.clear()
        self._queued.clear()
        self._default = Script()

    async def _bind(self, port: int) -> tuple[asyncio.Server, int]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self._serve), self._host, port, reuse_address=True)
        return server, int(server.sockets[0].getsockname()[1])

    async def _serve(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._count += 1
        connection.number = self._count
        try:
            while not connection.broken and (request := await connection.request()) is not None:
                connection.busy = True
                await self._route(connection, request)
                connection.busy = False
                if self._listener is None:
                    break
        except ConnectionError:
            pass  # the client went away; the call's record says so
        except Exception as error:  # noqa: BLE001 - the stand-in's own fault, told when it is closed
            self._failures.append(error)
        finally:
            connection.close()
            self._connections.discard(connection)

    async def _route(self, connection: Connection, request: Request) -> None:
        if request.path.startswith("/control/"):
            await connection.answer(*await control_answer(self, request))
        elif request.method == "POST" and request.path.startswith("/v1beta/models/"):
            await self._model_call(connection, request)
        elif request.method == "GET" and request.path.startswith("/v1beta/models/"):
            await self._describe(connection, request)
        else:
            await connection.answer(404, {"Content-Type": "text/html"}, b"<!DOCTYPE html><title>Error 404</title>")

    async def _describe(self, connection: Connection, request: Request) -> None:
        model = request.path.removeprefix("/v1beta/models/")
        refused = shapes.unknown(model, request.headers.get("x-goog-api-key", ""), self._key)
        status = refused["error"]["code"] if refused else 200
        await connection.answer(status, _JSON, msgspec.json.encode(refused or shapes.model(model)))

    async def _model_call(self, connection: Connection, request: Request) -> None:
        model, _, method = request.path.removeprefix("/v1beta/models/").rpartition(":")
        try:
            body: dict[str, Any] = shapes.canonical(msgspec.json.decode(request.body))
        except msgspec.DecodeError as error:
            complaint = shapes.complaint(f"Invalid JSON payload received. {error}")
            await connection.answer(400, _JSON, msgspec.json.encode(complaint))
            return
        key = request.headers.get("x-goog-api-key", request.query.get("key", ""))
        stream = method == "streamGenerateContent"
        call = self._register.begin(model=model, stream=stream, key=key, connection=connection.number, body=body)
        refused = shapes.refusal(model, key, self._key, body)
        if refused is not None:
            self._register.end(call, "fault")
            await connection.answer(refused["error"]["code"], _JSON, msgspec.json.encode(refused))
            return
        try:
            script = self._script_of(call)
        except ValueError as error:
            self._register.end(call, "fault")
            await connection.answer(400, _JSON, msgspec.json.encode(shapes.complaint(str(error))))
            return
        await self._until_gone(connection, call, Performance(connection, self._register, call, script))

    async def _until_gone(self, connection: Connection, call: Call, performance: Performance) -> None:
        playing = asyncio.ensure_future(performance.play())
        gone = asyncio.ensure_future(connection.gone.wait())
        try:
            await asyncio.wait({playing, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (playing, gone):
                task.cancel()
            outcome, _ = await asyncio.gather(playing, gone, return_exceptions=True)
            if not call.ended:
                self._register.end(call, "disconnected" if connection.gone.is_set() else "shutdown")
        if isinstance(outcome, Exception):
            raise outcome

    def _script_of(self, call: Call) -> Script:
        for queued in self._queued:
            if queued.fits(call.text, call.model):
                queued.times -= 1
                if queued.times == 0:
                    self._queued.remove(queued)
                return queued.script
        script = directives(call.text) if has_directives(call.text) else self._default
        return script.without_trouble() if 0 < script.times <= self._register.earlier(call) else script
