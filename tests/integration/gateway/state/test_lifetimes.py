"""Lifetimes: whatever a user leaves behind goes by itself, and all of a session goes together."""

from collections.abc import Awaitable, Callable

import pytest

from gateway.state import keys
from gateway.state.ids import TurnRef
from gateway.state.records import Claim, Kind, TextRequest
from gateway.state.sessions import SessionLimits
from gateway.state.turns import TurnLimits
from tests.integration.gateway.state.conftest import Opened
from tests.integration.gateway.state.scene import Scene, picture

QUEUE = {keys.READY, keys.LIVE, keys.WORKERS, keys.ABOUT, keys.LEASES}
"""The keys without a lifetime: what they hold is taken out by its owner or swept."""

HOUR = 3_600_000


async def test_every_key_has_a_lifetime_at_every_step_of_a_session(scene: Scene) -> None:
    session = await scene.session()
    assert await scene.without_lifetime() <= QUEUE
    await scene.sessions.put_message(session, "hello", key="k")
    assert await scene.without_lifetime() <= QUEUE
    await scene.sessions.put_images(session, [picture("a")])
    assert await scene.without_lifetime() <= QUEUE
    ref = await scene.begun(session, None)
    assert await scene.without_lifetime() <= QUEUE
    claim = await scene.claim(ref)
    assert await scene.without_lifetime() <= QUEUE
    await scene.say(claim, 1, "Hel")
    await scene.turns.check([claim])
    claim = await scene.reattempted(claim)
    await scene.say(claim, 1, "Hel")
    assert await scene.without_lifetime() <= QUEUE
    await scene.turns.put_back(claim)
    claim = await scene.claim(ref)
    await scene.turns.expire(ref, await scene.status(ref))
    claim = await scene.claim(ref)
    assert await scene.without_lifetime() <= QUEUE
    await scene.end(claim, 1)
    assert await scene.without_lifetime() <= QUEUE
    await scene.sessions.clear(session)
    assert await scene.without_lifetime() <= QUEUE


@pytest.mark.parametrize("kind", [Kind.DONE, Kind.STOPPED, Kind.FAILED])
async def test_every_key_has_a_lifetime_after_every_end(scene: Scene, kind: Kind) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    await scene.end(await scene.claimed(session), 1, kind)
    assert await scene.without_lifetime() <= QUEUE


async def test_a_turn_that_is_stopped_before_any_claim_leaves_nothing_for_ever(scene: Scene) -> None:
    await scene.turns.stop(await scene.begun())
    assert await scene.without_lifetime() <= QUEUE


async def test_a_turn_without_a_session_leaves_nothing_for_ever(scene: Scene) -> None:
    ref = await scene.turns.submit("a prompt", TextRequest("text/plain"))
    assert await scene.without_lifetime() <= QUEUE
    claim = await scene.claim(ref)
    assert await scene.without_lifetime() <= QUEUE
    await scene.say(claim, 1, "Hel")
    await scene.turns.check([claim])
    assert await scene.without_lifetime() <= QUEUE
    await scene.end(claim, 2)
    assert await scene.without_lifetime() <= QUEUE
    assert {key.decode() for key in await scene.stored()} - QUEUE == {keys.turn(*ref), keys.log(*ref)}


async def test_record_and_log_outlive_the_end_by_the_same_while(opened: Opened) -> None:
    scene = Scene(opened(), turn_limits=TurnLimits(log_ttl=60))
    await scene.beat()
    claim = await scene.claimed()
    await scene.end(claim, 1)
    for key in (keys.turn(*claim.ref), keys.log(*claim.ref)):
        assert 50_000 < await scene.redis.pttl(key) <= 60_000


async def test_a_short_session_lifetime_does_not_cut_a_turn_short(opened: Opened) -> None:
    limits = TurnLimits(session_ttl=5, deadline=600, log_ttl=60)
    scene = Scene(opened(), turn_limits=limits)
    await scene.beat()
    claim = await scene.claimed()
    assert await scene.redis.pttl(keys.turn(*claim.ref)) > 600_000
    assert await scene.redis.pttl(keys.log(*claim.ref)) > 600_000


Step = Callable[[Scene, Claim], Awaitable[object]]


async def _create(scene: Scene, claim: Claim) -> None:
    await scene.sessions.create(claim.ref.session)


async def _put_message(scene: Scene, claim: Claim) -> None:
    session = await scene.sessions.load(claim.ref.session)
    assert session
    await scene.sessions.put_message(session, "next")


async def _put_images(scene: Scene, claim: Claim) -> None:
    session = await scene.sessions.load(claim.ref.session)
    assert session
    await scene.sessions.put_images(session, [picture("next")])


async def _finish(scene: Scene, claim: Claim) -> None:
    await scene.end(claim, 1)


async def _fail(scene: Scene, claim: Claim) -> None:
    await scene.end(claim, 1, Kind.FAILED)


async def _force_stop(scene: Scene, claim: Claim) -> None:
    await scene.turns.force_stop(claim.ref)


async def _begin(scene: Scene, claim: Claim) -> None:
    session = await scene.sessions.load(claim.ref.session)
    assert session
    await scene.redis.hdel(keys.session(session.id), "running")
    await scene.begun(session)


@pytest.mark.parametrize("write", [_create, _put_message, _put_images, _finish, _fail, _force_stop, _begin])
async def test_every_write_slides_all_of_a_sessions_keys(scene: Scene, write: Step) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    await scene.sessions.put_message(session, "first", key="k")
    await scene.end(await scene.claimed(session, None), 1)
    await scene.sessions.put_images(session, [picture("b")])
    claim = await scene.claimed(session, "second")
    together = keys.of_session(session.id)
    assert await scene.redis.exists(*together) == len(together)
    for key in together:
        await scene.redis.pexpire(key, HOUR)

    await write(scene, claim)

    for key in together:
        assert await scene.redis.pttl(key) > HOUR, key


async def test_what_a_silent_turn_needs_outlives_its_deadline_and_its_readers(opened: Opened) -> None:
    """Nothing slides a lifetime while a turn says nothing, and no other write cuts one meanwhile."""
    scene = Scene(
        opened(),
        session_limits=SessionLimits(ttl=5),
        turn_limits=TurnLimits(session_ttl=5, deadline=600, log_ttl=60),
    )
    await scene.beat()
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    claim = await scene.claimed(session)
    needed = [*keys.of_session(session.id), keys.turn(*claim.ref), keys.log(*claim.ref)]
    for write in (_create, _put_message, _put_images):
        await write(scene, claim)
        left = [await scene.redis.pttl(key) for key in needed if await scene.redis.exists(key)]
        assert len(left) >= 5
        assert min(left) > 650_000


async def test_a_session_has_its_own_lifetime_again_when_its_turn_has_ended(opened: Opened) -> None:
    limits = TurnLimits(session_ttl=5, deadline=600, log_ttl=60)
    scene = Scene(opened(), turn_limits=limits)
    await scene.beat()
    claim = await scene.claimed()
    await scene.end(claim, 1)
    assert 0 < await scene.redis.pttl(keys.session(claim.ref.session)) <= 5_000
    assert 0 < await scene.redis.pttl(keys.history(claim.ref.session)) <= 5_000


async def test_reading_changes_no_lifetime(scene: Scene) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.redis.pexpire(keys.session(session.id), HOUR)
    await scene.redis.pexpire(keys.log(*claim.ref), HOUR)
    await scene.sessions.load(session.id)
    await scene.sessions.history(session.id)
    await scene.entries(claim.ref)
    assert await scene.redis.pttl(keys.session(session.id)) <= HOUR
    assert await scene.redis.pttl(keys.log(*claim.ref)) <= HOUR


async def test_a_turn_whose_session_expired_ends_without_bringing_it_back(scene: Scene) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.redis.delete(*keys.of_session(session.id))
    assert (await scene.say(claim, 1, "Hello")).verdict.written
    assert (await scene.end(claim, 2)).verdict.written
    assert await scene.redis.exists(*keys.of_session(session.id)) == 0
    assert await scene.without_lifetime() <= QUEUE


async def test_the_list_of_a_sessions_turns_forgets_those_that_expired(scene: Scene) -> None:
    session = await scene.session()
    refs = []
    for _ in range(3):
        claim = await scene.claimed(session)
        await scene.end(claim, 1)
        refs.append(claim.ref)
    for ref in refs[:2]:
        await scene.redis.delete(keys.turn(*ref), keys.log(*ref))
        await scene.redis.zadd(keys.turns(session.id), {ref.turn: 0})
    latest = await scene.begun(session)
    listed = await scene.raw.zrange(keys.turns(session.id), 0, -1)
    assert {name.decode() for name in listed} == {refs[2].turn, latest.turn}


async def test_the_idempotency_keys_of_a_session_are_bounded(scene: Scene) -> None:
    session = await scene.session()
    for i in range(40):
        begun = await scene.turns.begin(session, message="hello", key=str(i))
        await scene.turns.stop(TurnRef(session.id, begun.turn))
    assert await scene.redis.llen(keys.idempotency(session.id)) == 32
