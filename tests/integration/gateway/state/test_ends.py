"""The end of a turn: one, and known when it is sent again."""

from dataclasses import replace

import pytest

from gateway.state.ids import Position
from gateway.state.records import Kind, State, Usage
from gateway.state.turnlog import Verdict, WriteReply
from tests.integration.gateway.state.scene import Scene, end_write, text_write

OK, DUP, ENDED = WriteReply(Verdict.OK), WriteReply(Verdict.DUP), WriteReply(Verdict.ENDED)


@pytest.mark.parametrize("kind", [Kind.DONE, Kind.STOPPED, Kind.FAILED])
async def test_a_turn_ends_exactly_once(scene: Scene, kind: Kind) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.say(claim, 1, "Hello")
    end = end_write(claim, 2, kind, Usage(3, 1, 4))
    assert await scene.write(end) == OK
    assert (await scene.status(claim.ref)).state == kind.value
    before = await scene.stored()
    assert await scene.log.write([end, end]) == [DUP, DUP]
    assert await scene.stored() == before
    assert (await scene.reload(session)).usage == Usage(3, 1, 4)


async def test_a_different_end_of_an_ended_turn_is_told_so(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.say(claim, 1, "Hello")
    await scene.end(claim, 2)
    before = await scene.stored()
    for different in (
        end_write(claim, 2, Kind.FAILED),
        end_write(claim, 2, usage=Usage(1, 1, 2)),
        end_write(claim, 3),
        end_write(claim, 1),
    ):
        assert await scene.write(different) == ENDED
    assert await scene.stored() == before


async def test_a_whole_answer_sent_again_after_its_end_is_known(scene: Scene) -> None:
    claim = await scene.claimed()
    answer = [text_write(claim, 1, "Hel"), text_write(claim, 2, "lo"), end_write(claim, 3)]
    assert await scene.log.write(answer) == [OK] * 3
    before = await scene.stored()
    assert await scene.log.write(answer) == [DUP] * 3
    assert await scene.stored() == before


async def test_who_lost_a_turn_that_another_ended_is_told_so_also_about_what_it_had_written(
    scene: Scene, other: Scene
) -> None:
    lost = await scene.claimed()
    written = text_write(lost, 1, "Hel")
    await scene.write(written)
    await other.turns.expire(lost.ref, await other.status(lost.ref))
    claim = await other.claim(lost.ref)
    await other.say(claim, 1, "Hello")
    await other.end(claim, 2)
    before = await scene.stored()
    assert await scene.log.write([written, text_write(lost, 2, "lo"), end_write(lost, 3)]) == [ENDED] * 3
    assert await scene.stored() == before


@pytest.mark.parametrize("seq", [2, 3, 4])
async def test_text_that_never_reached_the_log_before_its_end_is_not_taken_for_known(scene: Scene, seq: int) -> None:
    claim = await scene.claimed()
    await scene.say(claim, 1, "Hel")
    await scene.turns.force_stop(claim.ref)
    before = await scene.stored()
    assert await scene.write(text_write(claim, seq, "lo")) == ENDED
    assert await scene.write(text_write(replace(claim, attempt=2), 1, "lo")) == ENDED
    assert await scene.stored() == before


async def test_the_page_in_which_a_turn_is_seen_as_ended_holds_its_last_entry(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.say(claim, 1, "Hello")
    await scene.end(claim, 2)
    page = await scene.log.read(claim.ref, Position(1, 1))
    assert page.status is not None
    assert page.status.state is State.DONE
    assert [entry.kind for entry in page.entries] == [Kind.DONE]
