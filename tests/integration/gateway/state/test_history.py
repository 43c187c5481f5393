"""What a turn leaves behind: its history, its usage, or its input."""

import asyncio

import pytest

from gateway.state import keys
from gateway.state.records import Kind, Result, Usage
from gateway.state.turnlog import Verdict
from gateway.state.turns import TurnLimits
from tests.integration.gateway.state.conftest import Opened
from tests.integration.gateway.state.scene import ABOUT, Scene, picture


async def test_a_done_turn_is_one_entry_of_history(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    claim = await scene.claimed(session)
    await scene.say(claim, 1, "Hel\n")
    await scene.say(claim, 2, "lo")
    await scene.end(claim, 3, usage=Usage(3, 1, 4))

    [turn] = await scene.sessions.history(session.id)
    assert (turn.turn, turn.input, turn.answer) == (claim.ref.turn, claim.input, "Hel\nlo")
    assert turn.result == Result(finish_reason="STOP", model=ABOUT.model, usage=Usage(3, 1, 4).as_json())
    assert turn.ended_at >= turn.input.created_at
    assert (await scene.reload(session)).running is None


async def test_history_is_in_the_order_of_the_turns(scene: Scene) -> None:
    session = await scene.session()
    for message in ("first", "second", "third"):
        await scene.end(await scene.claimed(session, message), 1)
    history = await scene.sessions.history(session.id)
    assert [turn.input.text for turn in history] == ["first", "second", "third"]


async def test_history_holds_the_text_of_the_last_attempt_alone(scene: Scene, other: Scene) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.say(claim, 1, "first ")
    claim = await scene.reattempted(claim)
    await scene.say(claim, 1, "second ")
    await scene.turns.expire(claim.ref, await scene.status(claim.ref))
    claim = await other.claim(claim.ref)
    await other.say(claim, 1, "third")
    await other.end(claim, 2)
    [turn] = await scene.sessions.history(session.id)
    assert turn.answer == "third"


async def test_of_ten_attempts_the_text_of_the_first_is_not_mistaken_for_the_tenths(scene: Scene) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.say(claim, 1, "first")
    for _ in range(9):
        claim = await scene.reattempted(claim)
    await scene.say(claim, 1, "tenth")
    await scene.end(claim, 2)
    [turn] = await scene.sessions.history(session.id)
    assert turn.answer == "tenth"


async def test_usage_is_cumulative_within_an_attempt_and_summed_over_attempts(scene: Scene, other: Scene) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.say(claim, 1, "Hel", Usage(10, 1, 11))
    await scene.say(claim, 2, "lo", Usage(10, 2, 12))
    claim = await scene.reattempted(claim)
    assert (await scene.reload(session)).usage == Usage(10, 2, 12)
    await scene.say(claim, 1, "Hel", Usage(10, 3, 13))
    await scene.turns.put_back(claim)
    claim = await other.claim(claim.ref)
    assert (await scene.reload(session)).usage == Usage(20, 5, 25)
    await other.say(claim, 1, "Hello", Usage(10, 4, 14))
    await other.end(claim, 2, usage=Usage(10, 5, 15))
    assert (await scene.reload(session)).usage == Usage(30, 10, 40)


async def test_an_attempt_that_told_no_usage_does_not_count_the_one_before_it_again(scene: Scene) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.say(claim, 1, "Hel", Usage(10, 1, 11))
    claim = await scene.reattempted(claim)
    await scene.say(claim, 1, "Hel")
    await scene.turns.put_back(claim)
    claim = await scene.claim(claim.ref)
    await scene.end(claim, 1)
    assert (await scene.reload(session)).usage == Usage(10, 1, 11)


async def test_what_a_failed_or_stopped_turn_used_counts(scene: Scene) -> None:
    session = await scene.session()
    for kind in (Kind.FAILED, Kind.STOPPED):
        claim = await scene.claimed(session)
        await scene.say(claim, 1, "Hel", Usage(10, 1, 11))
        await scene.end(claim, 2, kind)
    assert (await scene.reload(session)).usage == Usage(20, 2, 22)


async def test_a_repeated_write_does_not_count_twice(scene: Scene) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    for _ in range(3):
        await scene.say(claim, 1, "Hel", Usage(10, 1, 11))
    for _ in range(3):
        await scene.end(claim, 2, usage=Usage(10, 2, 12))
    assert (await scene.reload(session)).usage == Usage(10, 2, 12)


async def test_an_attempt_that_told_no_usage_counts_nothing(scene: Scene) -> None:
    session = await scene.session()
    await scene.end(await scene.claimed(session), 1)
    assert (await scene.reload(session)).usage == Usage()


async def test_a_failed_turn_gives_message_and_images_back_together(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    claim = await scene.claimed(session)
    await scene.say(claim, 1, "Hel")
    await scene.end(claim, 2, Kind.FAILED)

    after = await scene.reload(session)
    assert (after.pending_message, after.pending_images, after.running) == (True, 1, None)
    assert await scene.sessions.history(session.id) == []
    again = await scene.claimed(session, None)
    assert (again.input.text, again.input.images) == ("hello", claim.input.images)
    found = await scene.sessions.images(session.id, [picture("a").ref.id])
    assert found == {picture("a").ref.id: picture("a").content}


@pytest.mark.parametrize("newer", ["message", "images"])
async def test_a_failed_turn_gives_nothing_back_when_anything_newer_waits(scene: Scene, newer: str) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    claim = await scene.claimed(session)
    if newer == "message":
        await scene.sessions.put_message(session, "newer")
    else:
        await scene.sessions.put_images(session, [picture("b")])
    await scene.end(claim, 1, Kind.FAILED)

    assert picture("a").ref.id not in await scene.images_stored(session.id)
    again = await scene.claimed(session, None)
    if newer == "message":
        assert (again.input.text, again.input.images) == ("newer", ())
    else:
        assert (again.input.text, again.input.images) == (None, (picture("b").ref,))


async def test_a_failed_turn_of_images_alone_gives_them_back_without_a_message(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    await scene.end(await scene.claimed(session, None), 1, Kind.FAILED)
    after = await scene.reload(session)
    assert (after.pending_message, after.pending_images) == (False, 1)


async def test_history_keeps_the_newest_turns_and_their_images(opened: Opened) -> None:
    scene = Scene(opened(), turn_limits=TurnLimits(history_turns=2))
    await scene.beat()
    session = await scene.session()
    for message in ("first", "second", "third"):
        await scene.sessions.put_images(session, [picture(message), picture("of all")])
        await scene.end(await scene.claimed(session, message), 1)
    history = await scene.sessions.history(session.id)
    assert [turn.input.text for turn in history] == ["second", "third"]
    kept = {picture(name).ref.id for name in ("second", "third", "of all")}
    assert await scene.images_stored(session.id) == kept


async def test_a_turn_of_a_session_that_went_on_without_it_leaves_no_history(scene: Scene) -> None:
    session = await scene.session()
    lost = await scene.claimed(session, "lost")
    await scene.redis.hdel(keys.session(session.id), "running")
    current = await scene.claimed(session, "current")
    assert (await scene.end(lost, 1)).verdict is Verdict.OK
    assert await scene.sessions.history(session.id) == []
    assert (await scene.reload(session)).running == current.ref.turn


async def test_a_stop_and_a_finish_at_once_make_one_end(scene: Scene, other: Scene) -> None:
    session = await scene.session()
    for _ in range(10):
        claim = await scene.claimed(session)
        await asyncio.gather(scene.end(claim, 1), other.turns.force_stop(claim.ref))
        kinds = [entry.kind for entry in await scene.entries(claim.ref)]
        assert len(kinds) == 2
        assert kinds[1].terminal
    history = await scene.sessions.history(session.id)
    assert len({turn.turn for turn in history}) == len(history) == 10
    assert (await scene.reload(session)).running is None
