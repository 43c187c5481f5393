"""Beginning a turn: atomically, once, whoever asks and whatever dies on the way."""

import asyncio
from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from gateway.state import keys, turns
from gateway.state.errors import NothingPending, NoWorker, QueueFull, StateUnavailable, TurnRunning
from gateway.state.ids import TurnRef, new_claim_token, new_turn_id
from gateway.state.queue import Queue
from gateway.state.records import State, TextRequest
from gateway.state.script import Ask, Call, run, run_all
from gateway.state.turns import ENTRY_MAX_AGE, Begun
from tests.integration.gateway.state.conftest import Opened
from tests.integration.gateway.state.scene import CLAIMS_ALLOWED, Scene, picture


class SlowEntry(Queue):
    """The queue of a gateway that stood still for too long between a turn's index entry and its begin."""

    async def enter(self, ref: TurnRef, ask: Ask | None = None) -> int:
        return await super().enter(ref, ask) - int(ENTRY_MAX_AGE * 1000) - 1


async def test_nothing_pending_begins_nothing(scene: Scene) -> None:
    session = await scene.session()
    before = await scene.stored()
    with pytest.raises(NothingPending):
        await scene.turns.begin(session)
    assert await scene.stored() == before


async def test_a_turn_takes_message_and_images_that_were_pending(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_message(session, "hello")
    await scene.sessions.put_images(session, [picture("a")])
    ref = await scene.begun(session, None)
    after = await scene.reload(session)
    assert (after.pending_message, after.pending_images, after.running) == (False, 0, ref.turn)
    claim = await scene.claim(ref)
    assert (claim.input.text, claim.input.images) == ("hello", (picture("a").ref,))


async def test_a_message_given_with_the_begin_joins_the_pending_images(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_message(session, "replaced")
    await scene.sessions.put_images(session, [picture("a")])
    claim = await scene.claimed(session, "hello")
    assert (claim.input.text, claim.input.images) == ("hello", (picture("a").ref,))
    assert not (await scene.reload(session)).pending_message


async def test_a_begun_turn_waits_in_line_and_index(scene: Scene) -> None:
    ref = await scene.begun()
    status = await scene.status(ref)
    assert (status.state, status.attempt, status.owner, status.overdue) == (State.QUEUED, 0, None, False)
    assert await scene.live() == {ref}
    assert await scene.queue.waiting([ref]) == {ref}


async def test_two_clients_at_once_begin_one_turn(scene: Scene, other: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_message(session, "hello")
    answers = await asyncio.gather(*(client.turns.begin(session) for client in (scene, other) for _ in range(5)))
    assert len({begun.turn for begun in answers}) == 1
    assert [begun.new for begun in answers].count(True) == 1
    assert await scene.live() == {TurnRef(session.id, answers[0].turn)}
    assert (await scene.queue.census()).waiting == 1


async def test_two_clients_with_a_message_each_begin_one_turn(scene: Scene, other: Scene) -> None:
    session = await scene.session()
    answers = await asyncio.gather(
        scene.turns.begin(session, message="mine"),
        other.turns.begin(session, message="theirs"),
        return_exceptions=True,
    )
    [refused] = [answer for answer in answers if isinstance(answer, TurnRunning)]
    assert (await scene.reload(session)).running == refused.turn
    assert await scene.live() == {TurnRef(session.id, refused.turn)}


async def test_begin_without_a_message_names_the_running_turn(scene: Scene, other: Scene) -> None:
    session = await scene.session()
    ref = await scene.begun(session)
    await scene.sessions.put_message(session, "next")
    before = await scene.stored()
    begun = await other.turns.begin(session)
    assert (begun.turn, begun.new) == (ref.turn, False)
    assert await scene.stored() == before


async def test_a_message_while_a_turn_runs_is_refused_and_stored_nowhere(scene: Scene, other: Scene) -> None:
    session = await scene.session()
    ref = await scene.begun(session)
    before = await scene.stored()
    with pytest.raises(TurnRunning) as refused:
        await other.turns.begin(session, message="next", key="k")
    assert refused.value.turn == ref.turn
    assert await scene.stored() == before


async def test_a_session_goes_on_when_its_running_turns_record_is_lost(scene: Scene) -> None:
    session = await scene.session()
    lost = await scene.begun(session)
    await scene.redis.delete(keys.turn(*lost))
    assert (await scene.begun(session)).turn != lost.turn


async def test_a_gateway_that_stood_still_after_the_index_entry_begins_nothing(opened: Opened, scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_message(session, "hello")
    before = await scene.stored()
    slow = Scene(scene.redis, queue=SlowEntry(scene.redis))
    with pytest.raises(StateUnavailable):
        await slow.turns.begin(session)
    with pytest.raises(StateUnavailable):
        await slow.turns.submit("a prompt", TextRequest("text/plain"))
    assert await scene.stored() == before


async def test_a_gateway_dead_after_the_index_entry_leaves_an_entry_without_a_turn(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_message(session, "hello")
    entered = TurnRef(session.id, new_turn_id())
    await scene.queue.enter(entered)
    assert entered in await scene.live()
    assert await scene.turns.status(entered) is None
    ref = await scene.begun(session, None)
    assert ref != entered
    assert ref in await scene.live()


async def test_a_gateway_dead_before_the_hint_leaves_a_turn_that_a_sweep_finds(scene: Scene) -> None:
    ref = await scene.begun_without_hint(await scene.session())
    assert await scene.live() == {ref}
    assert (await scene.status(ref)).state is State.QUEUED
    assert await scene.queue.waiting([ref]) == set()
    await scene.queue.ready(ref)
    assert await scene.queue.pop(0.1) == ref
    assert (await scene.claim(ref)).input.text == "hello"


async def test_who_comes_back_after_such_a_death_finds_the_turn_running(scene: Scene) -> None:
    session = await scene.session()
    ref = await scene.begun_without_hint(session)
    begun = await scene.turns.begin(session)
    assert begun == Begun(ref.turn, new=False)
    assert await scene.live() == {ref}


async def test_a_full_queue_refuses_and_keeps_what_is_pending(opened: Opened, scene: Scene) -> None:
    crowded = Scene(scene.redis, queue=Queue(scene.redis, limit=1))
    await crowded.begun()
    session = await crowded.session()
    await crowded.sessions.put_message(session, "hello")
    before = await scene.stored()
    for refused in (
        crowded.turns.begin(session),
        crowded.turns.begin(session, message="hello"),
        crowded.turns.submit("a prompt", TextRequest("text/plain")),
        crowded.queue.admit(),
    ):
        with pytest.raises(QueueFull):
            await refused
    assert await scene.stored() == before


async def test_without_a_worker_nothing_begins_and_what_is_pending_stays(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_message(session, "hello")
    await scene.queue.resign(scene.worker)
    before = await scene.stored()
    for refused in (
        scene.turns.begin(session),
        scene.turns.begin(session, message="hello"),
        scene.turns.submit("a prompt", TextRequest("text/plain")),
        scene.queue.admit(),
    ):
        with pytest.raises(NoWorker):
            await refused
    assert await scene.stored() == before


async def test_asking_for_admission_enters_nothing(scene: Scene) -> None:
    before = await scene.stored()
    await scene.queue.admit()
    assert await scene.stored() == before


async def test_a_turn_without_a_session_carries_its_request(scene: Scene) -> None:
    request = TextRequest("application/json", {"type": "object", "properties": {"poem": {"type": "string"}}})
    ref = await scene.turns.submit("Write poetry.", request, trace="00-trace-01")
    assert await scene.queue.pop(0.1) == ref
    claim = await scene.claim(ref)
    assert (claim.input.text, claim.input.request, claim.trace) == ("Write poetry.", request, "00-trace-01")
    await scene.say(claim, 1, "{}")
    assert (await scene.end(claim, 2)).verdict.written
    assert (await scene.status(ref)).state is State.DONE
    assert await scene.sessions.load(ref.session) is None
    assert await scene.sessions.history(ref.session) == []


async def test_a_turn_of_a_session_carries_its_trace_and_no_request(scene: Scene) -> None:
    session = await scene.session()
    begun = await scene.turns.begin(session, message="hello", trace="00-trace-01")
    claim = await scene.claim(TurnRef(session.id, begun.turn))
    assert (claim.trace, claim.input.request) == ("00-trace-01", None)


async def test_a_hint_that_is_quicker_than_its_turn_costs_the_turn_nothing(scene: Scene) -> None:
    """Behind a script cache that was flushed, a hint may be carried out before the begin that it was sent with."""
    ref = TurnRef((await scene.session()).id, new_turn_id())
    await scene.queue.enter(ref)
    assert await scene.turns.claim(ref, new_claim_token(scene.worker), claims_allowed=CLAIMS_ALLOWED) is None
    assert ref in await scene.live(), "a sweep will find it"


@pytest.mark.parametrize("name", ["begin", "submit"])
async def test_a_command_that_is_repeated_after_its_turn_has_ended_does_not_bring_it_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    calls: list[Call] = []

    async def recorded(redis: Redis, sent: Sequence[Call]) -> list[object]:
        calls.extend(sent)
        return await run_all(redis, sent)

    monkeypatch.setattr(turns, "run_all", recorded)
    ref = await (scene.begun() if name == "begin" else scene.turns.submit("a prompt", TextRequest("text/plain")))
    [call] = [call for call in calls if call.script.name == name]
    await scene.end(await scene.claim(ref), 1)
    before = await scene.stored()
    await run(scene.redis, call)
    assert await scene.stored() == before


class Deaf(Queue):
    """The queue of a gateway whose Redis went away just now."""

    async def leave(self, *refs: TurnRef) -> None:
        raise StateUnavailable("away")


@pytest.mark.parametrize("kind", [Queue, Deaf])
async def test_what_is_asked_together_with_the_entry_may_refuse_and_is_heard(scene: Scene, kind: type[Queue]) -> None:
    session = await scene.session()
    await scene.sessions.put_message(session, "hello")
    asking = Scene(scene.redis, queue=kind(scene.redis))

    async def refusing(question: Call) -> None:
        await run(scene.redis, question)
        raise PermissionError

    with pytest.raises(PermissionError):
        await asking.turns.begin(session, ask=refusing)
    assert (await scene.queue.census()).live == (0 if kind is Queue else 1)
    assert (await scene.turns.begin(session)).new
