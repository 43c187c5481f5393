"""Two users, every call, any order: neither is ever shown anything of the other's, or does anything to it.

Each user's words carry a mark of their own, the worker's answers carry the mark of whom they answer, and ids of turns,
events and pictures are known to both, as if they had been told each other.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from gateway.state.connect import connect
from gateway.state.records import Claim
from tests.client import Answer
from tests.integration.gateway.edge import EVENTS, Browser, Edge, OpenStream, picture, settings_for
from tests.integration.gateway.state.scene import Scene
from tests.servers import RedisServer

T = TypeVar("T")

BOUNDS = settings(
    max_examples=25, stateful_step_count=20, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck)
)
MARKS = ("of-anna", "of-bert")
COLOURS = (("red", "orange", "pink"), ("blue", "navy", "teal"))

users = st.integers(0, 1)
back = st.integers(0, 3)


@dataclass
class User:
    mark: str
    browser: Browser
    colours: tuple[str, ...]
    said: int = 0
    stream: OpenStream | None = None
    claim: Claim | None = None
    pieces: int = 0
    ids: list[str] = field(default_factory=list)
    """Ids that this user was told: of events and pictures."""
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)


class TwoUsers(RuleBasedStateMachine):
    def __init__(self, runner: asyncio.Runner, edge: Edge) -> None:
        super().__init__()
        self.runner = runner
        self.edge = edge
        self.do(self.emptied())
        self.users = [User(mark, edge.browser(), colours) for mark, colours in zip(MARKS, COLOURS, strict=True)]
        for number in (0, 1):
            self.take_a_turn(number, 0)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        async def soon() -> T:
            async with asyncio.timeout(5):
                return await work

        return self.runner.run(soon())

    async def emptied(self) -> None:
        await self.edge.scene.redis.flushall()
        await self.edge.scene.beat()

    def teardown(self) -> None:
        for user in self.users:
            if user.claim:
                self.do(self.edge.scene.turns.force_stop(user.claim.ref))
            self.do(user.stack.aclose())

    def act(self, number: int, work: Coroutine[Any, Any, Answer]) -> Answer:
        """One user's call: it shows nothing of the other's, and leaves all of it as it was."""
        other = self.users[1 - number]
        before = self.do(self.all_of(other))
        answer = self.do(work)
        self.shows_nothing(number, f"{answer.headers}".encode() + answer.body)
        assert self.do(self.all_of(other)) == before
        assert answer.status < 500
        return answer

    def shows_nothing(self, number: int, shown: bytes) -> None:
        other = self.users[1 - number]
        assert other.mark.encode() not in shown
        for name in other.ids:
            assert name.encode() not in shown

    async def all_of(self, user: User) -> list[Any]:
        paths = ("/session", "/history", *(f"/images/{name}" for name in user.ids if ":" not in name))
        answers = [await user.browser.get(path) for path in paths]
        return [(answer.status, answer.body) for answer in answers]

    def known(self, back: int) -> str:
        """An id that either was told."""
        ids = [name for pair in zip(*(user.ids[::-1] for user in self.users), strict=False) for name in pair]
        return ids[back % len(ids)] if ids else f"{'0' * 24}:1-1"

    def text(self, user: User) -> str:
        user.said += 1
        return f"words {user.said} {user.mark}"

    # The calls.

    @rule(number=users, streamed=st.booleans(), key=st.sampled_from(["", "same"]))
    def chat(self, number: int, streamed: bool, key: str) -> None:
        user = self.users[number]
        if streamed and not user.claim:
            return  # That is ``begin``.
        headers = {**(EVENTS if streamed else {}), **({"Idempotency-Key": key} if key else {})}
        body = {"message": self.text(user)}
        if not (streamed and key):
            self.act(number, user.browser.post("/chat", json=body, headers=headers))

    @rule(number=users, colour=st.integers(0, 2))
    def upload(self, number: int, colour: int) -> None:
        user = self.users[number]
        name = f"{user.mark}.png"
        self.act(number, user.browser.upload((name, picture(colour=user.colours[colour]))))

    @rule(number=users)
    def look(self, number: int) -> None:
        user = self.users[number]
        for path in ("/session", "/history"):
            answer = self.act(number, user.browser.get(path))
            if path == "/history":
                images = [image for message in answer.json["messages"] for image in message.get("images", [])]
                user.ids += [image["id"] for image in images if image["id"] not in user.ids]

    @rule(number=users, back=back)
    def show_a_picture(self, number: int, back: int) -> None:
        name = self.known(back).partition(":")[0]
        answer = self.act(number, self.users[number].browser.get(f"/images/{name}"))
        assert answer.status == 404 or name in self.users[number].ids

    @rule(number=users, back=back, by_query=st.booleans())
    def resume(self, number: int, back: int, by_query: bool) -> None:
        place = self.known(back)
        if self.users[number].claim and place in self.users[number].ids:
            return  # It would wait for the running turn's end.
        browser = self.users[number].browser
        if by_query:
            self.act(number, browser.get(f"/stream?last_event_id={place}"))
        else:
            self.act(number, browser.get("/stream", headers={"Last-Event-ID": place}))

    @rule(number=users, back=back)
    def stop_by_id(self, number: int, back: int) -> None:
        user, turn = self.users[number], self.known(back).partition(":")[0]
        if user.claim and user.claim.ref.turn == turn:
            return  # Its worker would have to answer: that is ``end``.
        answer = self.act(number, user.browser.post("/stop", json={"turn": turn[:24]}))
        assert answer.json["stopped"] is False

    @rule(number=users, colour=st.integers(0, 2))
    def take_a_turn(self, number: int, colour: int) -> None:
        """From picture and message to the history."""
        if self.users[number].claim:
            return
        self.upload(number, colour)
        self.begin(number)
        self.end(number, "done")
        self.look(number)

    @precondition(lambda self: not all(user.claim for user in self.users))
    @rule(number=users)
    def begin(self, number: int) -> None:
        """A turn, as far as its first words."""
        user = self.users[number]
        if user.claim:
            return
        self.act(number, user.browser.post("/chat", json={"message": self.text(user)}))
        self.do(self._begin(user))
        self.shows_nothing(number, user.stream.received if user.stream else b"")

    async def _begin(self, user: User) -> None:
        user.stream = await user.stack.enter_async_context(user.browser.stream())
        user.claim, user.pieces = await self.edge.claim(), 1
        assert user.claim.input.text is not None
        assert user.mark in user.claim.input.text
        await self.edge.scene.say(user.claim, 1, f"answer {user.mark}")
        events = await user.stream.until("message")
        user.ids.append(events[-1].last_event_id)

    @rule(number=users)
    def say_more(self, number: int) -> None:
        user = self.users[number]
        if user.claim and user.stream:
            user.pieces += 1
            self.do(self.edge.scene.say(user.claim, user.pieces, f"more {user.mark}"))
            self.do(user.stream.more())
            self.shows_nothing(number, user.stream.received)

    @rule(number=users, how=st.sampled_from(["done", "done", "history", "session"]))
    def end(self, number: int, how: str) -> None:
        user = self.users[number]
        if not (user.claim and user.stream):
            return
        if how == "done":
            self.do(self.edge.scene.end(user.claim, user.pieces + 1))
        else:
            self.act(number, user.browser.call("DELETE", f"/{how}"))
        self.do(user.stream.until("done" if how == "done" else "stopped"))
        self.shows_nothing(number, user.stream.received)
        self.do(user.stack.aclose())
        user.claim = user.stream = None

    @rule(number=users, path=st.sampled_from(["/history", "/session"]))
    def forget(self, number: int, path: str) -> None:
        if not self.users[number].claim:
            self.act(number, self.users[number].browser.call("DELETE", path))


@pytest.mark.timeout(200)  # a failure takes its time to be shrunk
def test_no_order_of_calls_shows_one_user_the_others_data(valkey: RedisServer) -> None:
    with asyncio.Runner() as runner:
        redis = connect(valkey.url, timeout=5)
        off = dict.fromkeys(("rate_session_requests", "rate_address_requests", "rate_address_sessions"), "off")
        turns = dict.fromkeys(("rate_session_turns", "rate_session_turns_daily", "rate_session_tokens"), "off")
        edge = Edge(settings_for(valkey, **off, **turns), Scene(redis), connect(valkey.url, timeout=5))
        runner.run(edge.__aenter__())

        class OnThisServer(TwoUsers):
            def __init__(self) -> None:
                super().__init__(runner, edge)

        try:
            run_state_machine_as_test(OnThisServer, settings=BOUNDS)
        finally:
            runner.run(edge.__aexit__(None, None, None))
            runner.run(redis.aclose())
