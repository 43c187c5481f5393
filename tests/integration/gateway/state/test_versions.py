"""Two versions side by side: what a newer process wrote, an older one leaves as it is."""

import pytest

from gateway.state import keys
from gateway.state.errors import StateUnavailable
from gateway.state.ids import new_claim_token
from gateway.state.records import Session, State
from tests.integration.gateway.state.former import FormerWorker
from tests.integration.gateway.state.scene import CLAIMS_ALLOWED, Scene, picture

NEWER = "2"


async def test_a_turn_of_a_newer_version_is_left_alone(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.redis.hset(keys.turn(*claim.ref), mapping={"v": NEWER, "deadline": "1"})
    seen = await scene.status(claim.ref)
    before = await scene.stored()
    assert not await scene.turns.expire(claim.ref, seen), "its worker is for newer sweepers to judge"
    assert not await scene.turns.end_overdue(claim.ref)
    assert not await scene.turns.force_stop(claim.ref)
    with pytest.raises(StateUnavailable):
        await scene.turns.stop(claim.ref)
    assert await scene.stored() == before


async def test_a_waiting_turn_of_a_newer_version_is_not_claimed_and_stays_in_the_index(scene: Scene) -> None:
    ref = await scene.begun()
    await scene.redis.hset(keys.turn(*ref), "v", NEWER)
    before = await scene.stored()
    assert await scene.turns.claim(ref, new_claim_token(scene.worker), claims_allowed=CLAIMS_ALLOWED) is None
    assert await scene.stored() == before


async def test_a_turn_in_a_state_that_is_not_known_yet_is_seen_as_one_that_goes_on(scene: Scene) -> None:
    ref = await scene.begun()
    await scene.redis.hset(keys.turn(*ref), mapping={"v": NEWER, "state": "paused"})
    [status] = await scene.turns.observe([ref])
    assert status is not None
    assert not status.state.ended


async def test_history_of_a_newer_version_is_left_out(scene: Scene) -> None:
    session = await scene.session()
    await scene.end(await scene.claimed(session, "first"), 1)
    await scene.redis.xadd(keys.history(session.id), {"v": NEWER, "what": "nobody knows"})
    claim = await scene.claimed(session, "second")
    history = await scene.sessions.history(session.id)
    assert [turn.input.text for turn in history] == ["first"]
    assert [turn.text for turn in claim.history] == ["first"]


async def test_a_session_of_a_newer_version_is_not_written_and_its_caller_may_try_elsewhere(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_message(session, "hello")
    await scene.redis.hset(keys.session(session.id), "v", NEWER)
    before = await scene.stored()
    for refused in (
        scene.sessions.put_message(session, "again"),
        scene.sessions.put_images(session, [picture("a")]),
        scene.sessions.clear(session),
        scene.sessions.delete(session.id),
        scene.turns.begin(session),
    ):
        with pytest.raises(StateUnavailable):
            await refused
    assert await scene.stored() == before


async def test_a_write_to_whichever_session_is_there_finds_it_or_says_that_it_is_gone(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.clear(session)
    unread = Session.unread(session.id)
    await scene.sessions.put_message(unread, "hello")
    await scene.sessions.put_images(unread, [picture("a")])
    begun = await scene.turns.begin(unread)
    assert (await scene.reload(session)).running == begun.turn


async def test_a_former_sweep_never_takes_a_turn_whose_worker_beats_instead_of_renewing(scene: Scene) -> None:
    former = FormerWorker(scene.raw)
    claim = await scene.claimed()
    for _ in range(2):
        before = await scene.stored()
        assert not await former.expire(claim.ref, await former.look(claim.ref))
        assert await scene.stored() == before
        await scene.turns.put_back(claim)
        claim = await scene.claim(claim.ref)


async def test_a_turn_of_a_former_worker_is_told_by_its_renewals(scene: Scene) -> None:
    former, ref = FormerWorker(scene.raw), await scene.begun()
    assert await former.claim(ref)
    seen = await scene.status(ref)
    assert seen.renewed
    assert await former.renew(ref)
    assert not await scene.turns.expire(ref, seen), "it moved"
    assert (await scene.status(ref)).lease == seen.lease + 1
    assert await scene.turns.expire(ref, await scene.status(ref))
    assert not await former.renew(ref)


async def test_a_turn_goes_from_release_to_release_and_back(scene: Scene) -> None:
    former = FormerWorker(scene.raw)
    claim = await scene.claimed()
    assert not (await scene.status(claim.ref)).renewed
    await scene.turns.put_back(claim)
    assert not (await scene.status(claim.ref)).renewed, "nobody runs it"
    assert await former.claim(claim.ref)
    assert await former.renew(claim.ref)
    status = await scene.status(claim.ref)
    assert (status.renewed, status.lease) == (True, 3)
    assert await former.expire(claim.ref, await former.look(claim.ref))
    claim = await scene.claim(claim.ref)
    status = await scene.status(claim.ref)
    assert (status.state, status.renewed, status.lease) == (State.RUNNING, False, 4)
