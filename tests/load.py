"""Users who talk on and on through whatever happens to the processes, and check each word that they get."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp

from tests.client import ENDS, Answer, User, prompt
from tests.eventsource import EventSource
from tests.gemini_server.answers import pieces
from tests.gemini_server.script import directives
from tests.sse import Event

PATIENCE = 90.0
"""Seconds after which an answer that has not come counts as lost."""

_WORD = re.compile(r"(\d+)\.([0-9a-f]{8})@(\d+)")


@dataclass
class Talk:
    """One turn as its readers had it."""

    asked: str
    text: str = ""
    resets: list[str] = field(default_factory=list)
    """What each ``reset`` said."""
    attempts: int = 1
    worst_gap: float = 0.0
    """Seconds of the longest silence before the end."""
    problems: list[str] = field(default_factory=list)

    @property
    def call(self) -> int:
        """The number of the Gemini call whose words these are."""
        match = _WORD.match(self.text)
        return int(match[3]) if match else 0


class Talker:
    """One user, turn after turn. Every call is repeated until it is answered, as a patient client does."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._readers: list[EventSource] = []

    async def talk(self, *, chunks: int, delay: float, tabs: int = 1) -> Talk:
        talk = Talk(prompt("chaos", f"chunks={chunks} delay={delay} unique"))
        try:
            async with asyncio.timeout(PATIENCE):
                await self._say(talk)
                await self._follow(talk, tabs)
                await self._compare_with_history(talk)
        except TimeoutError:
            talk.problems.append(f"no whole answer within {PATIENCE:g} s; {await self._where_it_stands()}")
        talk.problems += faults(talk)
        return talk

    async def _where_it_stands(self) -> str:
        """For whoever has to find out why."""
        session = await persistently(lambda: self._user.call("GET", "/session"))
        readers = [
            (len(reader.events), [(each.status, each.last_event_id) for each in reader.connections[-3:]])
            for reader in self._readers
        ]
        return f"readers: {readers}; session: {session.body.decode()}"

    async def _say(self, talk: Talk) -> None:
        key = talk.asked.split()[1]

        async def post() -> Answer:
            return await self._user.call(
                "POST", "/chat", json={"message": talk.asked}, headers={"Idempotency-Key": key}
            )

        answer = await persistently(post)
        if answer.status != 200:
            talk.problems.append(f"POST /chat: {answer.status} {answer.body[:200]!r}")

    async def _follow(self, talk: Talk, tabs: int) -> None:
        async with AsyncExitStack() as stack:
            readers = [await stack.enter_async_context(self._user.stream()) for _ in range(tabs)]
            self._readers = readers
            ends = await asyncio.gather(*(self._read(reader, talk) for reader in readers))
        texts = {reader.text for reader, end in zip(readers, ends, strict=True) if end is not None}
        if len(texts) > 1:
            talk.problems.append(f"{len(texts)} tabs saw different answers")
        for reader, end in zip(readers, ends, strict=True):
            talk.resets = max(talk.resets, [event.data for event in reader.events if event.type == "reset"], key=len)
            if end is None:
                continue  # came to a turn that had ended: its page shows the history
            talk.text = reader.text
            if end.type != "done":
                talk.problems.append(f"ended as {end.type}: {end.data}")
            talk.attempts = int(end.last_event_id.partition(":")[2].partition("-")[0])

    async def _read(self, reader: EventSource, talk: Talk) -> Event | None:
        """The event that ends the turn; None for a reader who was told that there is nothing to stream any more."""
        seen, at = 0, time.monotonic()

        def grew() -> bool:
            nonlocal seen, at
            if len(reader.events) > seen:
                talk.worst_gap = max(talk.worst_gap, time.monotonic() - at)
                seen, at = len(reader.events), time.monotonic()
            return reader.closed or (bool(reader.events) and reader.events[-1].type in ENDS)

        await reader.when(grew)
        if reader.events and reader.events[-1].type in ENDS:
            return reader.events[-1]
        if reader.events or reader.connections[-1].status != 409:
            talk.problems.append(f"closed with {reader.connections[-1].status} after {len(reader.events)} events")
        return None

    async def _compare_with_history(self, talk: Talk) -> None:
        answer = await persistently(lambda: self._user.call("GET", "/history"))
        messages = answer.okay["messages"]
        told = [message["text"] for message in messages if message["role"] == "user"]
        if told.count(talk.asked) != 1:
            talk.problems.append(f"in history {told.count(talk.asked)} times")
            return
        kept = messages[2 * told.index(talk.asked) + 1]["text"]
        talk.text = talk.text or kept
        if kept != talk.text:
            talk.problems.append("history differs from what was read")


def faults(talk: Talk) -> list[str]:
    """Words that are lost, doubled, out of place, or of another answer."""
    script = directives(talk.asked)
    expected = "".join(pieces(talk.asked, script, call=talk.call)).split()
    words = talk.text.split()
    if words == expected:
        return []
    counts, wanted = Counter(words), Counter(expected)
    lost, doubled = wanted - counts, Counter({word: n for word, n in (counts - wanted).items() if word in wanted})
    foreign = counts - wanted - doubled
    found = []
    for kind, which in (("lost", lost), ("doubled", doubled), ("foreign", foreign)):
        if which:
            found.append(f"{which.total()} words {kind}: {list(which)[:3]}")
    return found or ["words out of place"]


async def persistently(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """The first answer that is neither a broken connection nor a 5xx that asks to try again."""
    while True:
        try:
            answer = await call()
            if answer.status not in (502, 503, 504):
                return answer
        except (aiohttp.ClientError, OSError):
            pass
        await asyncio.sleep(0.2)
