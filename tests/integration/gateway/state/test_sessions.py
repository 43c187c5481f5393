"""Sessions: what is pending, what is remembered, and how all of it is forgotten."""

import asyncio

import pytest

from gateway.state import keys
from gateway.state.errors import SessionGone
from gateway.state.ids import Position, new_token, session_id
from gateway.state.records import Entry, Kind, Session, Usage
from gateway.state.turnlog import Verdict
from tests.integration.gateway.state.conftest import Opened
from tests.integration.gateway.state.scene import Scene, picture, text_write


async def test_an_unknown_session_is_none(scene: Scene) -> None:
    assert await scene.sessions.load(session_id(new_token())) is None


async def test_a_new_session_is_empty(scene: Scene) -> None:
    session = await scene.session()
    expected = Session(session.id, session.epoch, pending_message=False, pending_images=0, running=None, usage=Usage())
    assert session == expected
    assert await scene.sessions.load(session.id) == expected
    assert await scene.sessions.history(session.id) == []


async def test_creating_twice_at_once_gives_one_epoch(scene: Scene, other: Scene) -> None:
    sid = session_id(new_token())
    first, second = await asyncio.gather(scene.sessions.create(sid), other.sessions.create(sid))
    assert first.epoch == second.epoch == (await scene.reload(first)).epoch


async def test_creating_an_open_session_keeps_what_is_pending(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_message(session, "hello")
    await scene.sessions.create(session.id)
    assert (await scene.reload(session)).pending_message


async def test_the_last_pending_message_wins(scene: Scene, other: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_message(session, "first")
    await other.sessions.put_message(session, "second")
    claim = await scene.claimed(session, None)
    assert claim.input.text == "second"


@pytest.mark.parametrize("text", ["", "a\nb\r\nc", "\N{SNOWMAN} \N{GRINNING FACE}", "\0", "x" * 100_000])
async def test_a_message_comes_back_to_the_letter(scene: Scene, text: str) -> None:
    session = await scene.session()
    await scene.sessions.put_message(session, text)
    claim = await scene.claimed(session, None)
    assert claim.input.text == text


async def test_two_sessions_share_nothing(scene: Scene) -> None:
    mine, theirs = await scene.session(), await scene.session()
    await scene.sessions.put_message(mine, "mine")
    await scene.sessions.put_images(mine, [picture("mine")])
    assert await scene.sessions.load(theirs.id) == theirs
    assert await scene.sessions.image(theirs.id, picture("mine").ref.id) is None
    await scene.sessions.delete(theirs.id)
    assert (await scene.reload(mine)).pending_message


async def test_clearing_forgets_all_but_the_usage(scene: Scene) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.end(claim, 1, usage=Usage(1, 2, 3))
    await scene.sessions.put_message(session, "next")
    await scene.sessions.put_images(session, [picture("next")])

    await scene.sessions.clear(session)

    cleared = await scene.reload(session)
    assert cleared.epoch != session.epoch
    assert not cleared.pending_message
    assert cleared.pending_images == 0
    assert cleared.usage == Usage(1, 2, 3)
    assert await scene.sessions.history(session.id) == []
    assert await scene.images_stored(session.id) == set()
    assert await scene.turns.status(claim.ref) is None


async def test_what_names_the_epoch_before_a_clear_does_nothing(scene: Scene, other: Scene) -> None:
    session = await scene.session()
    await scene.sessions.clear(session)
    before = await scene.stored()
    for late in (
        other.sessions.put_message(session, "late"),
        other.sessions.put_message(session, "late", key="k"),
        other.sessions.put_images(session, [picture("late")]),
        other.turns.begin(session, message="late"),
        other.turns.begin(session),
    ):
        with pytest.raises(SessionGone):
            await late
    assert await scene.stored() == before


async def test_what_names_a_deleted_session_does_nothing(scene: Scene, other: Scene) -> None:
    session = await scene.session()
    await scene.sessions.delete(session.id)
    before = await scene.stored()
    for late in (
        other.sessions.put_message(session, "late"),
        other.sessions.put_images(session, [picture("late")]),
        other.turns.begin(session, message="late"),
    ):
        with pytest.raises(SessionGone):
            await late
    assert await scene.stored() == before


@pytest.mark.parametrize("how", ["clear", "delete"])
async def test_a_worker_that_writes_after_the_conversation_was_forgotten_changes_nothing(
    scene: Scene, other: Scene, how: str
) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    claim = await scene.claimed(session)
    await scene.say(claim, 1, "Hel")
    await _forget(other, session, how)
    before = await scene.stored()

    assert (await scene.say(claim, 2, "lo")).verdict is Verdict.GONE
    assert (await scene.end(claim, 2, usage=Usage(1, 2, 3))).verdict is Verdict.GONE
    assert await scene.turns.check([claim]) == ["GONE"]
    assert await scene.turns.reattempt(claim, "upstream_broke") is None
    await scene.turns.put_back(claim)
    assert not await scene.turns.force_stop(claim.ref)
    assert not await scene.turns.end_overdue(claim.ref)
    assert await scene.turns.claim(claim.ref, claim.token, claims_allowed=3) is None

    assert await scene.stored() == before


@pytest.mark.parametrize("how", ["clear", "delete"])
async def test_forgetting_in_mid_turn_tells_readers_and_worker_and_leaves_the_index(
    scene: Scene, other: Scene, opened: Opened, how: str
) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.say(claim, 1, "Hel")
    async with opened().pubsub() as reader, opened().pubsub() as worker:
        await reader.ssubscribe(keys.log(*claim.ref))
        await worker.subscribe(keys.control(scene.worker))
        await reader.get_message(timeout=1)
        await worker.get_message(timeout=1)

        await _forget(other, session, how)

        last_word = await reader.get_message(timeout=1)
        woken = await worker.get_message(timeout=1)
    assert last_word is not None
    assert Entry.from_message(last_word["data"]) == Entry(Position(1, 2), Position(1, 1), Kind.STOPPED, b'{"usage":{}}')
    assert woken is not None
    assert woken["data"] == str(claim.ref).encode()
    assert await scene.live() == set()
    assert (await scene.queue.census()).waiting == 0


async def test_clearing_while_the_turn_waits_takes_it_out_of_the_line(scene: Scene) -> None:
    session = await scene.session()
    ref = await scene.begun(session)
    await scene.sessions.clear(session)
    assert await scene.turns.status(ref) is None
    assert await scene.live() == set()
    assert (await scene.queue.census()).waiting == 0


async def test_what_the_running_attempt_had_used_is_booked_when_the_conversation_is_cleared(scene: Scene) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.say(claim, 1, "Hel", Usage(5, 2, 7))
    await scene.sessions.clear(session)
    assert (await scene.reload(session)).usage == Usage(5, 2, 7)


async def test_a_cleared_session_goes_on_in_its_new_epoch(scene: Scene) -> None:
    session = await scene.session()
    await scene.claimed(session, "old")
    await scene.sessions.clear(session)
    session = await scene.reload(session)
    claim = await scene.claimed(session, "new")
    await scene.say(claim, 1, "Hello")
    await scene.end(claim, 2)
    [turn] = await scene.sessions.history(session.id)
    assert (turn.input.text, turn.answer) == ("new", "Hello")


async def test_deleting_erases_every_key_of_the_session(scene: Scene) -> None:
    untouched = await scene.stored()
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    await scene.sessions.put_message(session, "first", key="k1")
    await scene.turns.stop(await scene.begun(session, None))
    claim = await scene.claimed(session, "second")
    await scene.write(text_write(claim, 1, "Hel"))
    await scene.sessions.put_message(session, "third")

    await scene.sessions.delete(session.id)

    assert await scene.stored() == untouched


async def test_deleting_what_is_not_there_is_no_error(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.delete(session.id)
    await scene.sessions.delete(session.id)
    await scene.sessions.clear(session)
    assert await scene.sessions.load(session.id) is None


async def _forget(scene: Scene, session: Session, how: str) -> None:
    if how == "clear":
        await scene.sessions.clear(session)
    else:
        await scene.sessions.delete(session.id)
