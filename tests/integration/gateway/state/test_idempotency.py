"""Idempotency keys: a message that is sent again means the turn it began."""

from gateway.state.ids import TurnRef
from tests.integration.gateway.state.scene import Scene


async def test_an_idempotency_key_means_the_same_turn(scene: Scene, other: Scene) -> None:
    session = await scene.session()
    first = await scene.turns.begin(session, message="hello", key="k")
    again = await other.turns.begin(session, message="hello", key="k")
    assert (again.turn, again.new) == (first.turn, False)
    await scene.turns.stop(TurnRef(session.id, first.turn))
    after_its_end = await other.turns.begin(session, message="hello", key="k")
    assert (after_its_end.turn, after_its_end.new) == (first.turn, False)
    assert len(await scene.sessions.history(session.id)) == 1


async def test_another_idempotency_key_means_another_turn(scene: Scene) -> None:
    session = await scene.session()
    first = await scene.turns.begin(session, message="hello", key="k")
    await scene.turns.stop(TurnRef(session.id, first.turn))
    second = await scene.turns.begin(session, message="hello", key="l")
    assert second.new
    assert second.turn != first.turn


async def test_the_key_of_a_pending_message_goes_with_it_into_its_turn(scene: Scene, other: Scene) -> None:
    session = await scene.session()
    assert await scene.sessions.put_message(session, "hello", key="k") is None
    assert await scene.sessions.put_message(session, "hello", key="k") is None
    ref = await scene.begun(session, None)
    before = await scene.stored()
    assert await other.sessions.put_message(session, "hello", key="k") == ref.turn
    assert await scene.stored() == before
    again = await other.turns.begin(session, message="hello", key="k")
    assert (again.turn, again.new) == (ref.turn, False)


async def test_the_key_of_a_message_that_was_replaced_is_forgotten(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_message(session, "first", key="k")
    await scene.sessions.put_message(session, "second")
    await scene.begun(session, None)
    assert await scene.sessions.put_message(session, "first", key="k") is None


async def test_keys_of_two_sessions_do_not_meet(scene: Scene) -> None:
    mine, theirs = await scene.session(), await scene.session()
    await scene.turns.begin(mine, message="hello", key="k")
    assert (await scene.turns.begin(theirs, message="hello", key="k")).new


async def test_no_idempotency_key_is_kept_as_it_came(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_message(session, "hello", key="a-secret-key")
    await scene.turns.begin(session, message="hello", key="another-secret-key")
    assert "secret-key" not in repr(await scene.stored())
