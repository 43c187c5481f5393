"""Claims and leases: one owner at a time, and no turn that stays without one."""

import asyncio

from gateway.state import keys
from gateway.state.history import PastTurn
from gateway.state.ids import Position, TurnRef, new_claim_token, new_turn_id
from gateway.state.records import Entry, Kind, State
from gateway.state.turnlog import Verdict
from tests.integration.gateway.state.scene import CLAIMS_ALLOWED, Scene, picture


async def test_a_claim_makes_the_worker_the_owner_and_writes_the_first_entry(scene: Scene) -> None:
    ref = await scene.begun()
    claim = await scene.claim(ref)
    status = await scene.status(ref)
    assert (claim.attempt, claim.stop) == (1, False)
    assert (status.state, status.attempt, status.owner) == (State.RUNNING, 1, claim.token)
    assert await scene.entries(ref) == [
        Entry(Position(1, 0), Position(0, 0), Kind.START, b'{"attempt":1,"reason":"begun"}')
    ]


async def test_two_workers_at_once_make_one_claim(scene: Scene, other: Scene) -> None:
    ref = await scene.begun()
    claims = await asyncio.gather(
        *(
            client.turns.claim(ref, new_claim_token(client.worker), claims_allowed=CLAIMS_ALLOWED)
            for client in (scene, other)
            for _ in range(3)
        )
    )
    [claim] = [claim for claim in claims if claim]
    assert (await scene.status(ref)).owner == claim.token
    assert len(await scene.entries(ref)) == 1


async def test_a_claim_against_a_live_owner_changes_nothing(scene: Scene, other: Scene) -> None:
    claim = await scene.claimed()
    before = await scene.stored()
    token = new_claim_token(other.worker)
    assert await other.turns.claim(claim.ref, token, claims_allowed=CLAIMS_ALLOWED) is None
    assert await scene.stored() == before


async def test_a_claim_repeated_with_its_token_is_the_same_claim(scene: Scene) -> None:
    claim = await scene.claimed()
    before = await scene.stored()
    assert await scene.claim(claim.ref, claim.token) == claim
    assert await scene.stored() == before


async def test_a_claim_repeated_in_mid_answer_is_the_same_claim(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.say(claim, 1, "Hel")
    assert await scene.claim(claim.ref, claim.token) == claim
    assert (await scene.say(claim, 2, "lo")).verdict is Verdict.OK


async def test_a_claim_brings_the_newest_turns_along_oldest_first(scene: Scene) -> None:
    session = await scene.session()
    cat = picture("cat")
    for message in ("first", "second"):
        claim = await scene.claimed(session, message)
        await scene.say(claim, 1, f"the {message} ‽")
        await scene.end(claim, 2)
    await scene.sessions.put_images(session, [cat])
    await scene.end(await scene.claimed(session, None), 1, Kind.STOPPED)
    ref, token = await scene.begun(session, "fourth"), new_claim_token(scene.worker)
    brought = []
    for turns in (0, 2, 50):
        again = await scene.turns.claim(ref, token, claims_allowed=CLAIMS_ALLOWED, history_turns=turns)
        assert again is not None
        brought.append(again.history)
    past = [
        PastTurn("first", (), "the first ‽"),
        PastTurn("second", (), "the second ‽"),
        PastTurn(None, (cat.ref,), ""),
    ]
    assert brought == [[], past[1:], past]


async def test_a_hint_without_a_turn_is_no_claim_and_leaves_no_trace(scene: Scene) -> None:
    before = await scene.stored()
    gone = TurnRef((await scene.session()).id, new_turn_id())
    await scene.queue.ready(gone)
    assert await scene.queue.pop(0.1) == gone
    assert await scene.turns.claim(gone, new_claim_token(scene.worker), claims_allowed=CLAIMS_ALLOWED) is None
    await scene.sessions.delete(gone.session)
    assert await scene.stored() == before


async def test_an_old_hint_of_an_ended_turn_does_no_harm(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.end(claim, 1)
    await scene.queue.leave(claim.ref)
    before = await scene.stored()
    await scene.queue.ready(claim.ref)
    assert await scene.turns.claim(claim.ref, new_claim_token(scene.worker), claims_allowed=CLAIMS_ALLOWED) is None
    assert await scene.stored() == before


async def test_an_ended_turn_that_is_still_in_the_index_leaves_it_at_the_next_claim(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.end(claim, 1)
    assert claim.ref in await scene.live()
    await scene.turns.claim(claim.ref, new_claim_token(scene.worker), claims_allowed=CLAIMS_ALLOWED)
    assert claim.ref not in await scene.live()


async def test_asking_changes_nothing(scene: Scene) -> None:
    claim = await scene.claimed()
    before = await scene.stored()
    assert await scene.turns.check([claim, claim]) == ["OK", "OK"]
    assert await scene.stored() == before


async def test_asking_for_a_turn_past_its_deadline_ends_it(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.redis.hset(keys.turn(*claim.ref), "deadline", "1")
    assert await scene.turns.check([claim]) == ["ENDED"]
    assert (await scene.status(claim.ref)).state is State.FAILED


async def test_a_claim_and_a_look_say_how_long_the_turn_may_take(scene: Scene) -> None:
    claim = await scene.claimed()
    assert 590 < claim.left <= 600
    assert 590 < (await scene.status(claim.ref)).left <= claim.left


async def test_asking_tells_each_claim_what_became_of_its_turn(scene: Scene, other: Scene) -> None:
    lively, stopped, taken, ended, gone = [await scene.claimed() for _ in range(5)]
    await scene.turns.stop(stopped.ref)
    await scene.turns.expire(taken.ref, await scene.status(taken.ref))
    await other.claim(taken.ref)
    await scene.turns.force_stop(ended.ref)
    await scene.sessions.delete(gone.ref.session)
    answers = await scene.turns.check([lively, stopped, taken, ended, gone])
    assert answers == ["OK", "STOP", "FENCED", "ENDED", "GONE"]


async def test_asking_for_nothing_is_no_error(scene: Scene) -> None:
    assert await scene.turns.check([]) == []
    assert await scene.turns.observe([]) == []


async def test_records_are_observed_in_the_order_asked(scene: Scene) -> None:
    running, waiting = (await scene.claimed()).ref, await scene.begun()
    gone = TurnRef(running.session, new_turn_id())
    first, second, third = await scene.turns.observe([waiting, gone, running])
    assert first is not None
    assert third is not None
    assert (first.state, second, third.state) == (State.QUEUED, None, State.RUNNING)
