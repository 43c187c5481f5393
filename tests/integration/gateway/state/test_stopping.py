"""Ends that come from outside the attempt: stop, force, deadline."""

import msgspec
import pytest

from gateway.state import keys
from gateway.state.ids import Position, TurnRef, new_claim_token, new_turn_id
from gateway.state.records import Entry, Kind, State, Usage
from gateway.state.turnlog import Verdict
from gateway.state.turns import StopAnswer
from tests.integration.gateway.state.conftest import Opened
from tests.integration.gateway.state.scene import CLAIMS_ALLOWED, Scene, end_write, picture


async def test_stopping_a_waiting_turn_ends_it_here_and_now(scene: Scene, other: Scene) -> None:
    session = await scene.session()
    ref = await scene.begun(session)
    assert await other.turns.stop(ref) is StopAnswer.STOPPED
    assert (await scene.status(ref)).state is State.STOPPED
    assert await scene.live() == set()
    assert (await scene.queue.census()).waiting == 0
    assert await scene.entries(ref) == [Entry(Position(0, 1), Position(0, 0), Kind.STOPPED, b'{"usage":{}}')]
    [turn] = await scene.sessions.history(session.id)
    assert (turn.input.text, turn.answer, turn.result.stopped) == ("hello", "", True)
    assert (await scene.reload(session)).running is None


async def test_stopping_a_running_turn_tells_its_worker(scene: Scene, other: Scene, opened: Opened) -> None:
    claim = await scene.claimed()
    async with opened().pubsub() as worker:
        await worker.subscribe(keys.control(scene.worker))
        await worker.get_message(timeout=1)
        assert await other.turns.stop(claim.ref) is StopAnswer.ASKED
        woken = await worker.get_message(timeout=1)
    assert woken is not None
    assert woken["data"] == str(claim.ref).encode()
    assert await scene.turns.check([claim]) == ["STOP"]
    assert (await scene.status(claim.ref)).state is State.RUNNING


async def test_a_stop_asked_for_before_the_claims_reply_arrives_comes_with_the_claim(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.turns.stop(claim.ref)
    assert (await scene.claim(claim.ref, claim.token)).stop


async def test_stopping_twice_is_stopping_once(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.turns.stop(claim.ref)
    before = await scene.stored()
    assert await scene.turns.stop(claim.ref) is StopAnswer.ASKED
    assert await scene.stored() == before


@pytest.mark.parametrize("kind", [Kind.DONE, Kind.STOPPED, Kind.FAILED])
async def test_stopping_an_ended_turn_changes_nothing_but_the_index(scene: Scene, kind: Kind) -> None:
    claim = await scene.claimed()
    await scene.end(claim, 1, kind)
    await scene.queue.leave(claim.ref)
    before = await scene.stored()
    assert await scene.turns.stop(claim.ref) is StopAnswer.ENDED
    assert not await scene.turns.force_stop(claim.ref)
    assert await scene.stored() == before


async def test_stopping_a_turn_that_is_gone_says_ended(scene: Scene) -> None:
    ref = TurnRef((await scene.session()).id, new_turn_id())
    before = await scene.stored()
    assert await scene.turns.stop(ref) is StopAnswer.ENDED
    assert not await scene.turns.force_stop(ref)
    assert await scene.stored() == before


async def test_stopping_a_turn_that_was_put_back_keeps_what_was_said(scene: Scene) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.say(claim, 1, "Hel", Usage(3, 1, 4))
    await scene.turns.put_back(claim)
    assert await scene.turns.stop(claim.ref) is StopAnswer.STOPPED
    [turn] = await scene.sessions.history(session.id)
    assert (turn.answer, turn.result.stopped) == ("Hel", True)
    assert turn.result.usage == Usage(3, 1, 4).as_json()
    assert (await scene.reload(session)).usage == Usage(3, 1, 4)


async def test_a_worker_that_heeds_the_stop_ends_the_turn_itself(scene: Scene) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.say(claim, 1, "Hel")
    await scene.turns.stop(claim.ref)
    assert (await scene.end(claim, 2, Kind.STOPPED, Usage(3, 1, 4))).verdict is Verdict.OK
    [turn] = await scene.sessions.history(session.id)
    assert (turn.answer, turn.result.stopped) == ("Hel", True)


async def test_forcing_the_stop_takes_the_text_from_the_log_and_fences_the_worker(scene: Scene, other: Scene) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.say(claim, 1, "Hel\n", Usage(3, 1, 4))
    await scene.say(claim, 2, "lo text\n\ndone\n", Usage(3, 2, 5))
    assert await other.turns.force_stop(claim.ref)
    assert not await other.turns.force_stop(claim.ref)

    [turn] = await scene.sessions.history(session.id)
    assert (turn.answer, turn.result.stopped) == ("Hel\nlo text\n\ndone\n", True)
    assert (await scene.reload(session)).usage == Usage(3, 2, 5)
    [*_, last] = await scene.entries(claim.ref)
    assert (last.id, last.prev, last.kind) == (Position(1, 3), Position(1, 2), Kind.STOPPED)
    assert msgspec.json.decode(last.data) == {"usage": Usage(3, 2, 5).as_json()}
    assert await scene.live() == set()

    before = await scene.stored()
    assert (await scene.say(claim, 3, "late")).verdict is Verdict.ENDED
    assert (await scene.end(claim, 3)).verdict is Verdict.ENDED
    assert await scene.turns.check([claim]) == ["ENDED"]
    assert await scene.turns.reattempt(claim, "upstream_broke") is None
    await scene.turns.put_back(claim)
    assert await scene.stored() == before


async def test_forcing_the_stop_of_a_waiting_turn_ends_it(scene: Scene) -> None:
    ref = await scene.begun()
    assert await scene.turns.force_stop(ref)
    assert (await scene.status(ref)).state is State.STOPPED
    assert await scene.turns.claim(ref, new_claim_token(scene.worker), claims_allowed=CLAIMS_ALLOWED) is None


async def test_a_turn_within_its_deadline_is_not_ended(scene: Scene) -> None:
    claim = await scene.claimed()
    assert not (await scene.status(claim.ref)).overdue
    assert not await scene.turns.end_overdue(claim.ref)
    assert (await scene.status(claim.ref)).state is State.RUNNING


@pytest.mark.parametrize("running", [False, True])
async def test_whoever_sees_an_overdue_turn_ends_it_as_failed(scene: Scene, other: Scene, running: bool) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    ref = await scene.begun(session)
    claim = await scene.claim(ref) if running else None
    await let_the_deadline_pass(scene, ref)
    assert (await other.status(ref)).overdue

    assert await other.turns.end_overdue(ref)
    assert not await other.turns.end_overdue(ref)

    assert (await scene.status(ref)).state is State.FAILED
    [*_, last] = await scene.entries(ref)
    assert msgspec.json.decode(last.data)["error"] == "deadline_exceeded"
    assert await scene.live() == set()
    after = await scene.reload(session)
    assert (after.pending_message, after.pending_images, after.running) == (True, 1, None)
    if claim:
        assert (await scene.write(end_write(claim, 1))).verdict is Verdict.ENDED


async def test_an_overdue_turn_is_ended_by_the_claim_that_finds_it(scene: Scene) -> None:
    ref = await scene.begun()
    await let_the_deadline_pass(scene, ref)
    assert await scene.turns.claim(ref, new_claim_token(scene.worker), claims_allowed=CLAIMS_ALLOWED) is None
    assert (await scene.status(ref)).state is State.FAILED
    assert await scene.live() == set()


async def test_a_claim_says_when_the_turn_will_be_ended(scene: Scene) -> None:
    claim = await scene.claimed()
    assert 599 < (claim.deadline - claim.input.created_at).total_seconds() <= 600


async def let_the_deadline_pass(scene: Scene, ref: TurnRef) -> None:
    await scene.redis.hset(keys.turn(*ref), "deadline", "1")
