"""A server that forgot its scripts (a restart, a failover, SCRIPT FLUSH) is taught them again, unnoticed."""

import pytest

from gateway.state.records import State, Usage
from gateway.state.script import script
from gateway.state.turnlog import Verdict, WriteReply
from tests.integration.gateway.state.scene import Scene, end_write, text_write

OK = WriteReply(Verdict.OK)


async def test_every_operation_works_after_a_flush(scene: Scene) -> None:
    async def flush() -> None:
        await scene.redis.script_flush()

    await flush()
    session = await scene.session()
    await flush()
    await scene.sessions.put_message(session, "hello")
    await flush()
    ref = await scene.begun(session, None)
    await flush()
    claim = await scene.claim(ref)
    await flush()
    assert await scene.turns.check([claim, claim]) == ["OK", "OK"]
    await flush()
    claim = await scene.reattempted(claim)
    await flush()
    assert await scene.say(claim, 1, "Hel") == OK
    await flush()
    assert len(await scene.entries(ref)) == 3
    await flush()
    await scene.turns.put_back(claim)
    await flush()
    assert [status.state for status in await scene.turns.observe([ref, ref]) if status] == [State.QUEUED] * 2
    await flush()
    await scene.turns.stop(ref)
    await flush()
    await scene.sessions.clear(session)
    await flush()
    assert (await scene.queue.census()).live == 0


async def test_a_flush_before_a_pipeline_loses_and_doubles_nothing(scene: Scene) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.say(claim, 1, "1")
    await scene.redis.script_flush()
    writes = [text_write(claim, seq, str(seq)) for seq in range(2, 20)]
    assert await scene.log.write([*writes, end_write(claim, 20, usage=Usage(1, 2, 3))]) == [OK] * 19
    [turn] = await scene.sessions.history(session.id)
    assert turn.answer == "".join(str(seq) for seq in range(1, 20))
    assert (await scene.reload(session)).usage == Usage(1, 2, 3)


async def test_writes_that_a_half_forgotten_cache_parted_are_sent_again_from_the_first_on(scene: Scene) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.redis.script_flush()
    await scene.redis.script_load(script("finish").text)
    writes = [text_write(claim, 1, "Hel"), text_write(claim, 2, "lo"), end_write(claim, 3)]
    assert await scene.log.write(writes) == [OK, OK, OK]
    [turn] = await scene.sessions.history(session.id)
    assert turn.answer == "Hello"


@pytest.mark.parametrize("known", ["ready", "begin"])
async def test_a_turn_that_begins_behind_a_half_forgotten_cache_has_its_hint(scene: Scene, known: str) -> None:
    session = await scene.session()
    await scene.redis.script_flush()
    await scene.redis.script_load(script(known).text)
    ref = await scene.begun(session)
    assert await scene.queue.waiting([ref]) == {ref}
