"""The body guard, between a server and an app that are both a few lines long."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.guards.body import BodyGuard, BodyLimits, Message, Receive, Scope, Send
from gateway.problems import Passing, Problem, TooLarge, TooSlow
from tests.instant import run_instantly

LIMITS = BodyLimits(by_path={"/upload": 100}, otherwise=10, timeout=20.0, min_rate=5, budget=150)


class Server:
    """Sends the pieces of a body, each so many seconds after the one before it, and then waits for the answer's end."""

    def __init__(
        self,
        pieces: list[tuple[float, bytes]],
        path: str = "/chat",
        announced: int | None = None,
        *,
        ends: bool = True,
    ) -> None:
        length = (b"transfer-encoding", b"chunked") if announced is None else (b"content-length", b"%d" % announced)
        self.scope: Scope = {"type": "http", "path": path, "headers": [length]}
        self.messages: list[Message] = []
        self.answered = asyncio.Event()
        self.read = 0
        self._pieces = pieces
        self._ends = ends

    async def receive(self) -> Message:
        if self.read < len(self._pieces):
            wait, piece = self._pieces[self.read]
            await asyncio.sleep(wait)
            self.read += 1
            more = self.read < len(self._pieces) or not self._ends
            return {"type": "http.request", "body": piece, "more_body": more}
        await self.answered.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.answered.set()


class App:
    """Reads as Quart does: in a task of its own, to the end, whatever the handler is doing."""

    def __init__(self, handle: Callable[["App"], Awaitable[None]] | None = None) -> None:
        self.body = b""
        self.complete = asyncio.Event()
        self.problem: Problem | None = None
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read(receive))
            await (self._handle(self) if self._handle else self.complete.wait())
            found = scope.get("gateway.body")
            self.problem = found.problem if found else None
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"answer", "more_body": False})
            reading.cancel()

    async def _read(self, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            self.body += message["body"]
            if not message["more_body"]:
                self.complete.set()


def served(server: Callable[[], Server], app: Callable[[], App] = App) -> tuple[Server, App, float]:
    """One request from end to end; the seconds it took."""

    async def serve() -> tuple[Server, App, float]:
        here, there = server(), app()
        await BodyGuard(there, LIMITS)(here.scope, here.receive, here.send)
        return here, there, asyncio.get_running_loop().time()

    return run_instantly(serve())


def closes(server: Server) -> bool:
    return (b"connection", b"close") in server.messages[0]["headers"]


@pytest.mark.parametrize("announced", [9, None])
def test_a_body_within_its_limit_arrives_whole(announced: int | None) -> None:
    server, app, _ = served(lambda: Server([(0, b"four"), (1, b"five5")], announced=announced))
    assert app.body == b"fourfive5"
    assert app.problem is None
    assert not closes(server)


def test_a_body_that_announces_too_much_is_refused_before_it_is_read() -> None:
    _, app, _ = served(lambda: Server([(0, b"x" * 11)], announced=11))
    assert isinstance(app.problem, TooLarge)
    assert app.body == b""


def test_a_chunked_body_is_cut_where_it_becomes_too_large_and_the_rest_is_dropped() -> None:
    server, app, _ = served(lambda: Server([(0, b"x" * 6)] * 5))
    assert isinstance(app.problem, TooLarge)
    assert app.body == b"x" * 6
    assert server.read == 5, "the rest was read before the connection closed under the answer"
    assert closes(server)


def test_the_limit_is_the_routes_own() -> None:
    _, app, _ = served(lambda: Server([(0, b"x" * 100)], path="/upload"))
    assert app.problem is None
    assert len(app.body) == 100


def test_a_byte_a_second_ends_in_time() -> None:
    _, app, seconds = served(lambda: Server([(3, b"x")] * 9, path="/upload", ends=False))
    assert isinstance(app.problem, TooSlow)
    assert 20 <= seconds <= 22


def test_a_silent_body_ends_in_time() -> None:
    _, app, seconds = served(lambda: Server([(1000, b"x")], announced=5))
    assert isinstance(app.problem, TooSlow)
    assert seconds == pytest.approx(20)


def test_a_large_body_at_a_decent_pace_has_all_the_time_it_needs() -> None:
    _, app, seconds = served(lambda: Server([(1.5, b"x" * 6)] * 16, path="/upload"))
    assert app.problem is None
    assert len(app.body) == 96
    assert seconds > 20


def test_an_answer_before_the_bodys_end_waits_a_moment_for_it() -> None:
    async def at_once(_: App) -> None:
        await asyncio.sleep(0)

    server, _, seconds = served(lambda: Server([(0.5, b"x")] * 3, announced=3), lambda: App(at_once))
    assert server.read == 3
    assert seconds == pytest.approx(1.5)
    assert [message["type"] for message in server.messages] == ["http.response.start"] + ["http.response.body"] * 2


def test_an_answer_before_the_end_of_a_body_without_end_does_not_wait_for_long() -> None:
    async def at_once(_: App) -> None:
        await asyncio.sleep(0)

    server, _, seconds = served(lambda: Server([(1000, b"x")], announced=3), lambda: App(at_once))
    assert seconds == pytest.approx(2)
    assert server.answered.is_set()


def test_an_answer_before_the_bodys_end_does_not_wait_for_a_caller_who_has_gone() -> None:
    async def serve() -> float:
        server, app = Server([], announced=3), App(lambda _: asyncio.sleep(0))

        async def receive() -> Message:
            await asyncio.sleep(0.5)
            return {"type": "http.disconnect"}

        await BodyGuard(app, LIMITS)(server.scope, receive, server.send)
        return asyncio.get_running_loop().time()

    assert run_instantly(serve()) == pytest.approx(0.5)


def test_a_caller_who_hangs_up_in_the_middle_is_told_to_the_app() -> None:
    async def serve() -> None:
        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def hang_up(scope: Scope, receive: Receive, send: Send) -> None:
            assert (await receive())["type"] == "http.disconnect"

        server = Server([], announced=5)
        await BodyGuard(hang_up, LIMITS)(server.scope, receive, server.send)

    run_instantly(serve())


def test_all_bodies_together_stay_within_a_budget_that_is_given_back() -> None:
    async def serve() -> None:
        release = asyncio.Event()

        async def held(app: App) -> None:
            await app.complete.wait()
            await release.wait()

        first, second, third = App(held), App(), App()

        async def route(scope: Scope, receive: Receive, send: Send) -> None:
            await scope["app"](scope, receive, send)

        guard = BodyGuard(route, LIMITS)

        async def send_100(app: App) -> None:
            server = Server([(0, b"x" * 100)], path="/upload")
            server.scope["app"] = app
            await guard(server.scope, server.receive, server.send)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send_100(first))
            await first.complete.wait()
            await send_100(second)
            assert isinstance(second.problem, Passing)
            release.set()
        await send_100(third)
        assert third.problem is None

    run_instantly(serve())


def test_what_comes_behind_the_beginning_of_an_answer_takes_nothing_of_the_budget() -> None:
    async def stream(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] == "http.request":
            pass

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        await scope["app"](scope, receive, send)

    async def serve() -> None:
        guard, app = BodyGuard(route, LIMITS), App()
        streams = [Server([(1, b"x" * 9)]) for _ in range(50)]
        async with asyncio.TaskGroup() as tasks:
            for each in streams:
                each.scope["app"] = stream
                tasks.create_task(guard(each.scope, each.receive, each.send))
            await asyncio.sleep(2)
            server = Server([(0, b"four")])
            server.scope["app"] = app
            await guard(server.scope, server.receive, server.send)
            for each in streams:
                each.answered.set()
        assert (app.body, app.problem) == (b"four", None)

    run_instantly(serve())


def test_a_request_without_a_body_is_answered_at_once() -> None:
    async def at_once(_: App) -> None:
        return

    server, _, seconds = served(lambda: Server([(1, b"")], announced=0), lambda: App(at_once))
    assert seconds == 0
    assert not closes(server)


def test_a_body_that_nothing_announced_is_counted_too() -> None:
    async def serve() -> None:
        server, app = Server([(0, b"x" * 11)], announced=0), App()
        server.scope["headers"] = []
        await BodyGuard(app, LIMITS)(server.scope, server.receive, server.send)
        assert isinstance(app.problem, TooLarge)

    run_instantly(serve())


def test_one_client_holds_so_many_connections_by_bodies_and_no_more() -> None:
    limits = BodyLimits(by_path={}, otherwise=10, timeout=20.0, min_rate=5, budget=1000, of_one_client=2)

    async def serve() -> None:
        async def route(scope: Scope, receive: Receive, send: Send) -> None:
            await scope["app"](scope, receive, send)

        guard = BodyGuard(route, limits, lambda scope: str(scope["client"]))

        async def sent(client: str, *pieces: tuple[float, bytes]) -> Problem | None:
            server, app = Server(list(pieces)), App()
            server.scope.update(app=app, client=client)
            await guard(server.scope, server.receive, server.send)
            return app.problem

        async with asyncio.TaskGroup() as tasks:
            slow = [tasks.create_task(sent("eve", (0, b"x"), (1000, b""))) for _ in range(2)]
            await asyncio.sleep(1)
            assert isinstance(await sent("eve", (0, b"x")), Passing)
            assert await sent("adam", (0, b"x")) is None
        assert all(isinstance(task.result(), TooSlow) for task in slow)
        assert await sent("eve", (0, b"x")) is None

    run_instantly(serve())
