"""Turns that change hands, or begin anew in the same: takeover, put-back, another attempt."""

import pytest

from gateway.state.ids import Position, new_claim_token
from gateway.state.records import Entry, Kind, State, Usage
from gateway.state.turnlog import Verdict
from gateway.state.turns import StopAnswer
from tests.integration.gateway.state.scene import CLAIMS_ALLOWED, Scene, picture, text_write


async def test_an_owner_that_stands_still_loses_its_turn_to_the_next(scene: Scene, other: Scene) -> None:
    claim = await scene.claimed()
    await scene.say(claim, 1, "Hel")
    assert await scene.queue.pop(0.1) == claim.ref
    seen = await other.status(claim.ref)

    assert await other.turns.expire(claim.ref, seen)

    assert (await other.status(claim.ref)).state is State.QUEUED
    assert await other.queue.pop(0.1) == claim.ref
    takeover = await other.claim(claim.ref)
    assert takeover.attempt == 2
    assert (await scene.say(claim, 2, "lo")).verdict is Verdict.FENCED
    assert (await scene.end(claim, 2)).verdict is Verdict.FENCED
    assert (await scene.entries(claim.ref))[2:] == [
        Entry(Position(2, 0), Position(1, 1), Kind.RESET, b'{"attempt":2,"reason":"worker_lost"}')
    ]


@pytest.mark.parametrize("moved", ["put back", "taken by another"])
async def test_an_owner_that_moved_after_it_was_seen_keeps_its_turn(scene: Scene, other: Scene, moved: str) -> None:
    claim = await scene.claimed()
    seen = await scene.status(claim.ref)
    await scene.turns.put_back(claim)
    if moved == "taken by another":
        await other.claim(claim.ref)
    before = await scene.stored()
    assert not await other.turns.expire(claim.ref, seen)
    assert await scene.stored() == before


async def test_taking_a_turn_that_was_to_stop_ends_it(scene: Scene, other: Scene) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.say(claim, 1, "Hel", Usage(3, 1, 4))
    assert await other.turns.stop(claim.ref) is StopAnswer.ASKED
    assert not await other.turns.expire(claim.ref, await other.status(claim.ref))
    assert (await scene.status(claim.ref)).state is State.STOPPED
    assert await scene.live() == set()
    [turn] = await scene.sessions.history(session.id)
    assert (turn.answer, turn.result.stopped) == ("Hel", True)


async def test_a_turn_that_killed_every_worker_ends_as_failed(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    ref = await scene.begun(session)
    for _ in range(CLAIMS_ALLOWED):
        await scene.claim(ref)
        assert await scene.turns.expire(ref, await scene.status(ref))
    assert await scene.turns.claim(ref, new_claim_token(scene.worker), claims_allowed=CLAIMS_ALLOWED) is None
    assert (await scene.status(ref)).state is State.FAILED
    assert await scene.live() == set()
    [*_, last] = await scene.entries(ref)
    assert last.kind is Kind.FAILED
    assert b'"worker_lost"' in last.data
    after = await scene.reload(session)
    assert (after.pending_message, after.pending_images, after.running) == (True, 1, None)


async def test_what_a_draining_worker_puts_back_goes_to_the_others_at_once(scene: Scene, other: Scene) -> None:
    claim = await scene.claimed()
    await scene.say(claim, 1, "Hel")
    assert await scene.queue.pop(0.1) == claim.ref

    await scene.turns.put_back(claim)

    assert await other.queue.pop(0.1) == claim.ref
    again = await other.claim(claim.ref)
    assert again.attempt == 2
    assert (await scene.say(claim, 2, "lo")).verdict is Verdict.FENCED
    [*_, reset] = await scene.entries(claim.ref)
    assert (reset.kind, reset.data) == (Kind.RESET, b'{"attempt":2,"reason":"worker_drained"}')


async def test_putting_back_does_not_count_as_a_try(scene: Scene) -> None:
    ref = await scene.begun()
    for _ in range(3 * CLAIMS_ALLOWED):
        await scene.turns.put_back(await scene.claim(ref))
    assert (await scene.claim(ref)).attempt == 3 * CLAIMS_ALLOWED + 1


async def test_putting_back_twice_is_putting_back_once(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.turns.put_back(claim)
    before = await scene.stored()
    await scene.turns.put_back(claim)
    assert await scene.stored() == before


async def test_putting_back_what_another_owns_does_nothing(scene: Scene, other: Scene) -> None:
    claim = await scene.claimed()
    await scene.turns.expire(claim.ref, await scene.status(claim.ref))
    await other.claim(claim.ref)
    before = await scene.stored()
    await scene.turns.put_back(claim)
    assert await scene.stored() == before


async def test_putting_back_a_turn_that_was_to_stop_ends_it(scene: Scene) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.say(claim, 1, "Hel")
    await scene.turns.stop(claim.ref)
    await scene.turns.put_back(claim)
    assert (await scene.status(claim.ref)).state is State.STOPPED
    assert await scene.live() == set()
    [turn] = await scene.sessions.history(session.id)
    assert turn.answer == "Hel"


async def test_the_same_worker_begins_anew_after_its_upstream_broke(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.say(claim, 1, "Hel")
    again = await scene.reattempted(claim)
    assert again.attempt == 2
    assert (await scene.say(claim, 2, "late")).verdict is Verdict.FENCED
    assert (await scene.say(again, 1, "Hello")).verdict is Verdict.OK
    assert (await scene.entries(claim.ref))[2] == Entry(
        Position(2, 0), Position(1, 1), Kind.RESET, b'{"attempt":2,"reason":"upstream_broke"}'
    )


async def test_beginning_anew_twice_is_beginning_anew_once(scene: Scene) -> None:
    claim = await scene.claimed()
    again = await scene.reattempted(claim)
    before = await scene.stored()
    assert await scene.reattempted(claim) == again
    assert await scene.stored() == before


async def test_beginning_anew_from_an_attempt_long_past_is_refused(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.reattempted(await scene.reattempted(claim))
    before = await scene.stored()
    assert await scene.turns.reattempt(claim, "upstream_broke") is None
    assert await scene.stored() == before


async def test_beginning_anew_does_not_count_as_another_claim(scene: Scene) -> None:
    claim = await scene.claimed()
    for _ in range(2 * CLAIMS_ALLOWED):
        claim = await scene.reattempted(claim)
    await scene.turns.expire(claim.ref, await scene.status(claim.ref))
    assert (await scene.claim(claim.ref)).attempt == 2 * CLAIMS_ALLOWED + 2


async def test_who_lost_the_turn_cannot_begin_it_anew(scene: Scene, other: Scene) -> None:
    claim = await scene.claimed()
    await scene.turns.expire(claim.ref, await scene.status(claim.ref))
    await other.claim(claim.ref)
    before = await scene.stored()
    assert await scene.turns.reattempt(claim, "upstream_broke") is None
    assert await scene.stored() == before


async def test_no_write_of_a_lost_attempt_is_ever_taken(scene: Scene, other: Scene) -> None:
    claim = await scene.claimed()
    await scene.say(claim, 1, "Hel")
    await scene.turns.expire(claim.ref, await scene.status(claim.ref))
    late = [text_write(claim, seq, "late") for seq in (1, 2, 3)]
    assert [reply.verdict for reply in await scene.log.write(late)] == [Verdict.FENCED] * 3
    await other.claim(claim.ref)
    assert [reply.verdict for reply in await scene.log.write(late)] == [Verdict.FENCED] * 3
