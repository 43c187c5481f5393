"""Fifty users at once, each call of each at another replica: nothing mixed, lost or repeated, no call too many."""

import asyncio
import random
from collections import Counter

import pytest

from tests.client import ENDS, User, picture, prompt
from tests.cluster import Cluster, Gemini
from tests.eventsource import EventSource
from tests.gemini_server import expected_answer

USERS = 50
TURNS = 2

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]


async def _read(user: User, *, second_tab: bool) -> list[EventSource]:
    """The pending turn, followed to its end; a second tab comes whenever it comes, and asks for all of that turn."""
    async with user.stream() as first:
        tabs = [first]
        if second_tab:
            await first.when(lambda: bool(first.events))
            turn = first.connections[0].headers["X-Turn-Id"]
            async with user.stream(last_event_id=f"{turn}:0-0") as second:
                await second.until(lambda event: event.type in ENDS)
            tabs.append(second)
        await first.until(lambda event: event.type in ENDS)
    return tabs


async def _converse(cluster: Cluster, number: int) -> list[str]:
    """A user's whole visit; the prompts that were sent."""
    prompts = [prompt(f"user {number}, turn {turn}", f"chunks={random.randint(1, 12)}") for turn in range(TURNS)]
    async with User(cluster.any_url) as user:
        await user.session()
        for asked in prompts:
            if random.random() < 0.3:
                await user.upload(picture())
            await user.chat(asked)
            tabs = await _read(user, second_tab=random.random() < 0.3)
            assert [tab.text for tab in tabs] == [expected_answer(asked)] * len(tabs)
            assert {event.type for tab in tabs for event in tab.events} == {"message", "done"}
        conversation = await user.conversation()
    assert conversation == [line for asked in prompts for line in (("user", asked), ("model", expected_answer(asked)))]
    return prompts


async def test_fifty_users_at_random_replicas_each_get_their_own_answers_once(cluster: Cluster, gemini: Gemini) -> None:
    async with asyncio.TaskGroup() as group:
        visits = [group.create_task(_converse(cluster, number)) for number in range(USERS)]

    prompts = [asked for visit in visits for asked in visit.result()]
    calls = [call for call in await gemini.calls() if call.text in set(prompts)]
    assert Counter(call.text for call in calls) == Counter(prompts)
    assert {call.ended for call in calls} == {"whole"}
    assert len({call.key for call in calls}) == 2, "both workers have taken turns"


async def test_gemini_sees_the_users_own_conversation_alone(cluster: Cluster, gemini: Gemini) -> None:
    async with User(cluster.any_url) as one, User(cluster.any_url) as other:
        texts = {user: [prompt("first"), prompt("second"), prompt("third")] for user in (one, other)}
        for turn in range(3):
            await asyncio.gather(*(user.ask(texts[user][turn]) for user in (one, other)))

    for asked in texts.values():
        first, second, third = asked
        [call] = await gemini.calls_about(third)
        assert call.messages == [
            ("user", [first]),
            ("model", [expected_answer(first)]),
            ("user", [second]),
            ("model", [expected_answer(second)]),
            ("user", [third]),
        ]
