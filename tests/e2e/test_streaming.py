"""/stream as browsers use it: reloads, tabs, lost connections, several turns."""

import json
from contextlib import AsyncExitStack

import aiohttp
import pytest

from tests.client import User, prompt
from tests.cluster import Cluster, Gemini
from tests.eventsource import EventSource
from tests.gemini_server import Script, expected_answer
from tests.sse import Parser, parse, text_of

EVENT_STREAM = {"Accept": "text/event-stream"}

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]


async def _begin_held(user: User, gemini: Gemini, *, chunks: int = 4) -> tuple[str, str]:
    """Begins a turn that halts after so many chunks; its prompt and its id."""
    asked = prompt("halting", f"hold={chunks}")
    await user.chat(asked)
    async with user.stream() as reader:
        await reader.when(lambda: bool(reader.events))
        turn = reader.connections[0].headers["X-Turn-Id"]
    await gemini.call_about(asked, held=True)
    return asked, turn


async def test_words_arrive_while_the_answer_is_being_given(user: User, gemini: Gemini) -> None:
    asked = prompt("slowly", "hold=3")
    await user.chat(asked)
    async with user.stream() as reader:
        await reader.when(lambda: len(reader.text.split()) == 3)
        assert expected_answer(asked).startswith(reader.text)
        assert (await gemini.call_about(asked)).ended == ""
        await gemini.release()
        await reader.until("done")
    assert reader.text == expected_answer(asked)


async def test_a_reload_in_mid_answer_shows_the_whole_answer(user: User, gemini: Gemini) -> None:
    asked, turn = await _begin_held(user, gemini)
    async with user.stream("?begin=0") as reloaded:
        await reloaded.when(lambda: len(reloaded.text.split()) == 4)
        await gemini.release()
        await reloaded.until("done")
    assert reloaded.text == expected_answer(asked)
    assert reloaded.connections[0].headers["X-Turn-Id"] == turn
    assert len(await gemini.calls_about(asked)) == 1


async def test_a_second_tab_follows_from_the_beginning(cluster: Cluster, user: User, gemini: Gemini) -> None:
    asked = prompt("two tabs", "hold=4")
    await user.chat(asked)
    async with (
        user.stream(at=cluster.gateways[0].url) as first,
        user.stream(at=cluster.gateways[1].url) as second,
        user.stream(at=cluster.gateways[1].url) as third,
    ):
        tabs = (first, second, third)
        for tab in tabs:
            await tab.when(lambda tab=tab: len(tab.text.split()) == 4)  # type: ignore[misc]
        await gemini.release()
        for tab in tabs:
            await tab.until("done")
    assert [tab.text for tab in tabs] == [expected_answer(asked)] * 3
    assert len({tab.connections[0].headers["X-Turn-Id"] for tab in tabs}) == 1
    assert len(await gemini.calls_about(asked)) == 1


@pytest.mark.parametrize("by", ["header", "query"])
async def test_a_lost_connection_goes_on_at_another_replica_where_it_was(
    cluster: Cluster, user: User, gemini: Gemini, by: str
) -> None:
    here, there = cluster.gateways[0].url, cluster.gateways[1].url
    asked = prompt("interrupted", "hold=5 chunks=10")
    await user.chat(asked)
    async with user.stream(at=here) as before:
        await before.when(lambda: len(before.text.split()) == 5)
    place = before.last_event_id
    after = (
        user.stream(at=there, last_event_id=place)
        if by == "header"
        else user.stream(f"?last_event_id={place}", at=there)
    )
    async with after:
        await after.when(lambda: after.last_event_id != "")
        assert after.last_event_id == place, "the first block names the place itself"
        await gemini.release()
        await after.until("done")
    assert before.text + after.text == expected_answer(asked)


async def test_the_place_given_by_the_header_goes_before_that_in_the_address(user: User, gemini: Gemini) -> None:
    asked = prompt("whole")
    reader = await user.ask(asked)
    first = reader.events[0].last_event_id
    async with user.stream(f"?last_event_id={first}", last_event_id=reader.last_event_id) as again:
        assert (await again.until_closed()).status == 204


async def test_after_the_end_the_event_source_is_told_to_stop(user: User, gemini: Gemini) -> None:
    await user.chat(prompt("short"))
    async with user.stream() as reader:
        await reader.until("done")
        closing = await reader.until_closed()
    assert closing.status == 204
    assert closing.last_event_id == reader.last_event_id
    assert len(reader.connections) == 2


async def test_begin_0_attaches_but_never_begins(user: User, gemini: Gemini) -> None:
    asked = prompt("pending")
    await user.chat(asked)
    (await user.call("GET", "/stream?begin=0")).refused(409, "nothing_pending")
    assert (await user.session())["pending"] == {"message": True, "images": 0}
    assert (await user.session())["turn"] is None
    assert (await user.read()).text == expected_answer(asked)


async def test_an_id_never_begins_a_turn(user: User, gemini: Gemini) -> None:
    first = await user.ask(prompt("first"))
    waiting = prompt("second")
    await user.chat(waiting)
    async with user.stream(last_event_id=first.last_event_id) as reader:
        assert (await reader.until_closed()).status == 204
    async with user.stream(last_event_id="0123456789abcdef01234567:1-1") as reader:
        await reader.until("expired")
        assert (await reader.until_closed()).status == 204
    assert (await user.session())["pending"]["message"] is True
    assert await gemini.calls_about(waiting) == []


@pytest.mark.parametrize("place", ["0123456789abcdef01234567:1-1", "no id of ours", "0123456789abcdef01234567:1"])
async def test_an_unknown_place_is_expired_and_its_own_id_ends_the_event_source(user: User, place: str) -> None:
    await user.session()
    async with user.stream(last_event_id=place) as reader:
        expired = await reader.until("expired")
        closing = await reader.until_closed()
    assert expired.last_event_id == reader.last_event_id == closing.last_event_id
    assert closing.status == 204
    assert [event.type for event in reader.events] == ["expired"]


async def test_another_users_place_is_expired(cluster: Cluster, user: User, gemini: Gemini) -> None:
    reader = await user.ask(prompt("private"))
    async with User(cluster.any_url) as stranger:
        await stranger.session()
        async with stranger.stream(last_event_id=reader.events[0].last_event_id) as curious:
            await curious.until("expired")
            assert (await curious.until_closed()).status == 204
    assert curious.text == ""


async def test_a_turn_whose_log_is_gone_is_expired(cluster: Cluster, user: User, gemini: Gemini) -> None:
    reader = await user.ask(prompt("forgotten"))
    turn = reader.connections[0].headers["X-Turn-Id"]
    doomed = [key async for key in cluster.redis.scan_iter(match=f"*:{turn}")]
    assert len(doomed) == 2, "record and log"
    await cluster.redis.delete(*doomed)
    async with user.stream(last_event_id=reader.events[0].last_event_id) as late:
        await late.until("expired")
        assert (await late.until_closed()).status == 204


async def test_a_post_that_accepts_events_does_message_turn_and_stream_in_one_call(user: User, gemini: Gemini) -> None:
    asked = prompt("in one")
    await user.session()
    answer = await user.call("POST", "/chat", json={"message": asked}, headers=EVENT_STREAM)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    events = parse(answer.body)
    assert text_of(events) == expected_answer(asked)
    assert events[-1].type == "done"
    assert events[-1].last_event_id.startswith(answer.headers["X-Turn-Id"] + ":")
    assert await user.conversation() == [("user", asked), ("model", expected_answer(asked))]


async def test_a_stream_lost_after_a_post_is_taken_up_by_an_event_source(user: User, gemini: Gemini) -> None:
    asked = prompt("posted, then lost", "hold=3")
    await user.session()
    async with EventSource(
        user.url("/stream"), user.jar, last_event_id=await _lose_a_post(user, gemini, asked)
    ) as reader:
        await gemini.release()
        await reader.until("done")
    assert expected_answer(asked).endswith(reader.text)
    assert len(reader.text.split()) == 5


async def _lose_a_post(user: User, gemini: Gemini, asked: str) -> str:
    """Posts, reads three words, hangs up; the last id that was read."""
    parser = Parser()
    async with (
        aiohttp.ClientSession(cookie_jar=user.jar) as http,
        http.post(user.url("/chat"), json={"message": asked}, headers=EVENT_STREAM) as answer,
    ):
        text = ""
        while len(text.split()) < 3:
            text += text_of(parser.feed(await answer.content.readany()))
    return parser.last_event_id


async def test_an_event_source_that_comes_back_after_the_next_turn_began_is_not_given_that_turn(
    user: User, gemini: Gemini
) -> None:
    """It asks for what follows its own turn, which is nothing: 204, whatever runs meanwhile."""
    first, second = prompt("first"), prompt("second", "hold=2")
    await user.chat(first)
    async with user.stream(hurry=0.2) as old:
        await old.until("done")
        await user.chat(second)
        async with user.stream() as new:
            await new.when(lambda: len(new.text.split()) == 2)
            assert (await old.until_closed()).status == 204
            await gemini.release()
            await new.until("done")
    assert old.text == expected_answer(first)
    assert new.text == expected_answer(second)
    assert len(await gemini.calls_about(second)) == 1


async def test_an_event_source_that_slept_through_the_end_of_its_turn_gets_the_rest_of_that_turn(
    user: User, gemini: Gemini
) -> None:
    first, turn = await _begin_held(user, gemini, chunks=3)
    async with user.stream() as sleeper:
        await sleeper.when(lambda: len(sleeper.text.split()) == 3)
    async with user.stream() as awake:
        await awake.when(lambda: len(awake.text.split()) == 3)
        await gemini.release()
        await awake.until("done")
    second = prompt("second", "hold=1")
    await user.chat(second)
    async with user.stream() as other_turn:
        await other_turn.when(lambda: bool(other_turn.text))
        async with user.stream(last_event_id=sleeper.last_event_id) as woken:
            await woken.until("done")
            assert (await woken.until_closed()).status == 204
        await gemini.release()
        await other_turn.until("done")
    assert sleeper.text + woken.text == expected_answer(first)
    assert woken.connections[0].headers["X-Turn-Id"] == turn
    assert other_turn.text == expected_answer(second)


async def test_one_browser_goes_through_several_turns_with_a_new_event_source_for_each(
    user: User, gemini: Gemini
) -> None:
    asked = [prompt(f"turn {number}") for number in range(3)]
    readers = [await user.ask(text) for text in asked]
    assert [reader.text for reader in readers] == [expected_answer(text) for text in asked]
    assert len({reader.connections[0].headers["X-Turn-Id"] for reader in readers}) == 3
    assert [text for role, text in await user.conversation() if role == "user"] == asked


async def test_ids_rise_and_are_unlike(user: User, gemini: Gemini) -> None:
    reader = await user.ask(prompt("long", "chunks=40 delay=0.005"))
    turn = reader.connections[0].headers["X-Turn-Id"]
    places = []
    for event in reader.events:
        head, _, place = event.last_event_id.partition(":")
        assert head == turn
        places.append(tuple(int(number) for number in place.split("-")))
    assert places == sorted(set(places))
    assert {attempt for attempt, _ in places} == {1}


async def test_done_tells_finish_reason_model_and_usage(user: User, gemini: Gemini) -> None:
    asked = prompt("figures")
    reader = await user.ask(asked)
    done = json.loads(reader.events[-1].data)
    assert done["finish_reason"] == "STOP"
    assert done["model"] == "gemini-2.5-flash"
    assert done["usage"]["input_tokens"] > 0
    assert done["usage"]["output_tokens"] > 0
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"]
    assert "offline" not in done
    [_, answer] = await user.history()
    assert answer["finish_reason"] == "STOP"
    assert answer["usage"] == done["usage"]
    assert answer["stopped"] is False
    assert (await user.session())["usage"] == done["usage"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one\n\ntwo\n", "one\n\ntwo\n"),
        ("a\r\nb\rc\r\n\r\nd", "a\nb\nc\n\nd"),
        (" leading: colon and space ", " leading: colon and space "),
        ("data: not a field\nevent: nor this\n: nor a comment", "data: not a field\nevent: nor this\n: nor a comment"),
        ("漢字😀é‱\u2028\u0085\ufeff end", "漢字😀é‱\u2028\u0085\ufeff end"),
    ],
)
@pytest.mark.parametrize("split", [0, 1])
async def test_any_text_arrives_as_it_is_with_one_kind_of_line_break(
    user: User, gemini: Gemini, text: str, shown: str, split: int
) -> None:
    asked = prompt("special")
    await gemini.script(Script(text=text, chunks=max(1, len(text) // 2), split=split), match=asked)
    reader = await user.ask(asked)
    assert reader.text == shown
    assert (await user.conversation())[-1] == ("model", shown)


async def test_silence_is_filled_with_comments(user: User, gemini: Gemini) -> None:
    asked = prompt("thinking", "hold=0")
    await user.chat(asked)
    async with user.stream() as reader:
        await reader.when(lambda: bool(reader.connections) and len(reader.connections[0].comments) >= 2)
        assert reader.events == []
        await gemini.release()
        await reader.until("done")
    assert reader.text == expected_answer(asked)


async def test_readers_at_every_replica_see_the_same_events(cluster: Cluster, user: User, gemini: Gemini) -> None:
    asked = prompt("crowd", "hold=2 chunks=20")
    await user.chat(asked)
    async with AsyncExitStack() as stack:
        urls = [gateway.url for gateway in cluster.gateways] * 4
        readers = [await stack.enter_async_context(user.stream(at=url)) for url in urls]
        for reader in readers:
            await reader.when(lambda reader=reader: len(reader.text.split()) == 2)  # type: ignore[misc]
        await gemini.release()
        for reader in readers:
            await reader.until("done")
    assert [reader.text for reader in readers] == [expected_answer(asked)] * len(readers)
    assert len({reader.events[-1] for reader in readers}) == 1
