"""One request and its answer, between the server and Quart.

Quart decides what is answered. What it needed for that (the request, its contexts, the answer's head) has been let go
when a stream's body begins: streams are many and long, and each would keep all of it. A caller who hangs up ends the
exchange, whatever it waits for, as a cancellation of the task that runs it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

from quart import Quart, Request, Response
from quart.asgi import ASGIHTTPConnection
from quart.utils import encode_headers
from quart.wrappers.request import Body as RequestBody
from quart.wrappers.response import DataBody
from werkzeug.wrappers import Response as WerkzeugResponse

from gateway.extensions import MAILBOX, PIPE, Pipe
from gateway.framework import Fields
from gateway.guards.body import ASGIApp, Message, Receive, Scope, Send
from gateway.mailbox import Mailbox
from gateway.streaming.stream import Outlet

Body = Callable[[Outlet], Awaitable[None]]
"""What writes a body, piece by piece, by means of what it is given. Nothing more follows when it returns."""


class EventStream(Response):
    """An answer whose body is made piece by piece while it is sent, for as long as it takes."""

    def __init__(self, body: Body, headers: dict[str, str], content_type: str) -> None:
        super().__init__(None, 200, headers, content_type=content_type)
        self.body = body


_Task = asyncio.Task[None]

Heading = Callable[[list[tuple[bytes, bytes]]], None]
"""What completes the fields of an answer's head."""


def entrance(app: Quart, heading: Heading = lambda _fields: None) -> ASGIApp:
    """What Quart offers as ``asgi_app``, with an ``Exchange`` for each request."""
    rest: ASGIApp = app.asgi_app  # type: ignore[assignment]

    def enter(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            return Exchange(app, scope, heading)(receive, send)
        return rest(scope, receive, send)

    return enter


class Exchange(ASGIHTTPConnection):
    def __init__(self, app: Quart, scope: Scope, heading: Heading) -> None:
        super().__init__(app, scope)  # type: ignore[arg-type]
        self._heading = heading
        self._caller_gone = False
        self._over = False
        """The last of the answer is on its way. Whether it still finds its caller is the server's business alone."""
        self._pipe: Pipe | None = None

    async def __call__(self, receive: Receive, send: Send) -> None:  # type: ignore[override]
        task = cast("_Task", asyncio.current_task())
        cancelled_before = task.cancelling()
        self._send = send
        request = self._request(send)
        listening: _Task | None = None
        arrived = await self._has_arrived(request.body, receive)
        if not (arrived and self._is_called(task)):
            listening = asyncio.ensure_future(self._listen(None if arrived else request.body, receive, task))
        try:
            step: Awaitable[Any] = self._answer(request, send)
            del request
            body = await step
            if body is not None:
                listening = self._relieved(listening, task)
                step, body = body(self), None
                await step
                if not self._over:
                    await self.write(b"", last=True)
        except asyncio.CancelledError:
            if not self._caller_gone or task.uncancel() > cancelled_before:
                raise
        finally:
            self._over = True
            if listening is not None:
                listening.cancel()
        if listening is not None and listening.done() and not listening.cancelled():
            listening.result()

    def _request(self, send: Send) -> Request:
        scope, config = self.scope, self.app.config
        root = scope.get("root_path", "")
        return self.app.request_class(
            scope["method"],
            scope["scheme"],
            scope["path"].removeprefix(root),
            scope["query_string"],
            Fields((scope.get("client") or ("",))[0], scope["headers"]),
            root,
            scope["http_version"],
            max_content_length=config["MAX_CONTENT_LENGTH"],
            body_timeout=config["BODY_TIMEOUT"],
            send_push_promise=partial(self._send_push_promise, cast("Any", send)),
            scope=scope,
        )

    async def _has_arrived(self, body: RequestBody, receive: Receive) -> bool:
        """Takes in the request's body if it is all there, as it mostly is: nothing then has to wait for it."""
        mailbox: Mailbox | None = self._extension(MAILBOX)
        if mailbox is None or not mailbox.whole:
            return False
        while not _taken_in(await receive(), body):
            pass
        return True

    async def _listen(self, body: RequestBody | None, receive: Receive, task: _Task) -> None:
        """Takes in the request's body, then waits for the caller to go."""
        while (message := await receive())["type"] != "http.disconnect":
            if body is not None and _taken_in(message, body):
                body = None
        self._hang_up(task)

    def _relieved(self, listening: _Task | None, task: _Task) -> _Task | None:
        """A body that had not arrived at first has been read by now, mostly: nobody has to listen any more."""
        if listening is None or not self._is_called(task):
            return listening
        listening.cancel()
        return None

    def _hang_up(self, task: _Task) -> None:
        if not self._over and not self._caller_gone:
            self._caller_gone = True
            task.cancel()

    def _is_called(self, task: _Task) -> bool:
        """Where the server offers to call when the caller goes: a task for each stream, to listen, is much to keep."""
        mailbox: Mailbox | None = self._extension(MAILBOX)
        return mailbox is not None and mailbox.on_disconnect(partial(self._hang_up, task))

    def _extension(self, name: str) -> Any:
        """What the server offers under that name, or None."""
        return cast("dict[str, Any]", self.scope.get("extensions") or {}).get(name)

    async def _answer(self, request: Any, send: Send) -> Body | None:
        """Sends the answer, or the head of one whose body is then to be written."""
        response = await self.app.handle_request(request)
        fields = encode_headers(response.headers)
        self._heading(fields)
        head: Message = {"type": "http.response.start", "status": response.status_code, "headers": fields}
        if isinstance(response, EventStream):
            await send(head)
            # Whoever passed it on may keep the message, and with it what the stream does not need.
            head["headers"] = self.scope["headers"] = []
            self._pipe = self._extension(PIPE)
            return response.body
        await send(head)
        self._over = True
        await _send_body(response, send)
        return None

    # What a body calls: a ``gateway.streaming.stream.Outlet``.

    def write(self, piece: bytes, /, *, last: bool = False) -> Awaitable[None]:
        self._over = last
        if self._pipe is not None and not last:
            return self._pipe.write(piece)
        return self._send({"type": "http.response.body", "body": piece, "more_body": not last})

    def write_now(self, piece: bytes, /) -> bool:
        return self._pipe is not None and self._pipe.write_now(piece)


def _taken_in(message: Message, body: RequestBody) -> bool:
    """Whether that was the last of it."""
    body.append(message.get("body", b""))
    if message.get("more_body", False):
        return False
    body.set_complete()
    return True


async def _send_body(response: Response | WerkzeugResponse, send: Send) -> None:
    if isinstance(response, WerkzeugResponse):
        content = response.get_data()
    elif isinstance(response.response, DataBody):
        content = response.response.data[response.response.begin : response.response.end]
    else:
        content = await response.get_data(as_text=False)
    await send({"type": "http.response.body", "body": content, "more_body": False})
