"""A command whose reply is lost is sent again: the outcome is that of a command sent once.

Every script runs here over a line that loses its first reply after the server has carried it out.
"""

from collections.abc import AsyncIterator

import pytest

from gateway.state import keys
from gateway.state.connect import connect
from gateway.state.ids import TurnRef
from gateway.state.records import Kind, State, TextRequest, Usage
from gateway.state.script import script
from gateway.state.turnlog import Verdict
from gateway.state.turns import StopAnswer
from tests.integration.gateway.state.lossy import LossyLine
from tests.integration.gateway.state.scene import Scene, end_write, picture, text_write
from tests.servers import RedisServer

_SCRIPTS = (
    *("append", "beat", "begin", "census", "claim", "create", "end_overdue", "enter", "expire", "finish", "force_stop"),
    *("forget", "leave", "observe", "page", "put_back", "put_images", "put_message", "ready", "reattempt", "check"),
    *("stop", "submit"),
)


@pytest.fixture
async def line(valkey: RedisServer) -> AsyncIterator[LossyLine]:
    async with LossyLine(valkey.port) as line:
        yield line
        assert line.lost == 1, "the test lost no reply"


@pytest.fixture
async def scene(line: LossyLine) -> AsyncIterator[Scene]:
    redis = connect(line.url, timeout=5)
    await redis.flushall()
    for name in _SCRIPTS:
        await redis.script_load(script(name).text)
    scene = Scene(redis)
    await scene.beat()
    yield scene
    await redis.aclose()


async def test_create(scene: Scene, line: LossyLine) -> None:
    line.lose_reply_to("create")
    session = await scene.session()
    assert (await scene.reload(session)).epoch == session.epoch


@pytest.mark.parametrize("key", [None, "k"])
async def test_put_message(scene: Scene, line: LossyLine, key: str | None) -> None:
    session = await scene.session()
    line.lose_reply_to("put_message")
    assert await scene.sessions.put_message(session, "hello", key=key) is None
    assert (await scene.claimed(session, None)).input.text == "hello"


async def test_put_images(scene: Scene, line: LossyLine) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    line.lose_reply_to("put_images")
    await scene.sessions.put_images(session, [picture("b")])
    assert await scene.images_stored(session.id) == {picture("b").ref.id}


@pytest.mark.parametrize("lost", ["enter", "begin", "ready"])
@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize("message", [None, "hello"])
async def test_begin(scene: Scene, line: LossyLine, lost: str, key: str | None, message: str | None) -> None:
    session = await scene.session()
    if message is None:
        await scene.sessions.put_message(session, "hello", key=key)
    line.lose_reply_to(lost)
    begun = await scene.turns.begin(session, message=message, key=None if message is None else key)
    ref = TurnRef(session.id, begun.turn)
    assert begun.new
    assert await scene.live() == await scene.queue.waiting([ref]) == {ref}
    assert (await scene.claim(ref)).input.text == "hello"


@pytest.mark.parametrize("lost", ["enter", "submit", "ready"])
async def test_submit(scene: Scene, line: LossyLine, lost: str) -> None:
    line.lose_reply_to(lost)
    ref = await scene.turns.submit("a prompt", TextRequest("text/plain"))
    assert await scene.live() == await scene.queue.waiting([ref]) == {ref}
    assert (await scene.claim(ref)).input.text == "a prompt"


async def test_claim(scene: Scene, line: LossyLine) -> None:
    ref = await scene.begun()
    line.lose_reply_to("claim")
    claim = await scene.claim(ref)
    assert claim.attempt == 1
    assert len(await scene.entries(ref)) == 1
    assert (await scene.record(ref))[b"tries"] == b"1"


async def test_check(scene: Scene, line: LossyLine) -> None:
    claim = await scene.claimed()
    line.lose_reply_to("check")
    assert await scene.turns.check([claim]) == ["OK"]


async def test_append(scene: Scene, line: LossyLine) -> None:
    claim = await scene.claimed()
    line.lose_reply_to("append")
    replies = await scene.log.write([text_write(claim, seq, str(seq)) for seq in (1, 2, 3)])
    assert all(reply.verdict.written for reply in replies)
    assert [entry.data for entry in await scene.entries(claim.ref)][1:] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("kind", [Kind.DONE, Kind.STOPPED, Kind.FAILED])
async def test_finish(scene: Scene, line: LossyLine, kind: Kind) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    line.lose_reply_to("finish")
    replies = await scene.log.write([text_write(claim, 1, "Hello"), end_write(claim, 2, kind, Usage(3, 1, 4))])
    assert [reply.verdict for reply in replies] == [Verdict.DUP, Verdict.DUP]
    assert len(await scene.entries(claim.ref)) == 3
    after = await scene.reload(session)
    assert (after.usage, after.running) == (Usage(3, 1, 4), None)
    assert len(await scene.sessions.history(session.id)) == (kind is not Kind.FAILED)
    assert after.pending_message == (kind is Kind.FAILED)


async def test_reattempt(scene: Scene, line: LossyLine) -> None:
    claim = await scene.claimed()
    line.lose_reply_to("reattempt")
    assert (await scene.reattempted(claim)).attempt == 2
    assert len(await scene.entries(claim.ref)) == 2


async def test_put_back(scene: Scene, line: LossyLine) -> None:
    claim = await scene.claimed()
    assert await scene.queue.pop(0.1) == claim.ref
    line.lose_reply_to("put_back")
    await scene.turns.put_back(claim)
    assert (await scene.status(claim.ref)).state is State.QUEUED
    assert (await scene.record(claim.ref))[b"tries"] == b"0"
    assert await scene.queue.waiting([claim.ref]) == {claim.ref}


async def test_expire(scene: Scene, line: LossyLine) -> None:
    claim = await scene.claimed()
    line.lose_reply_to("expire")
    await scene.turns.expire(claim.ref, await scene.status(claim.ref))
    assert (await scene.status(claim.ref)).state is State.QUEUED
    assert claim.ref in await scene.live()


async def test_stop_of_a_waiting_turn(scene: Scene, line: LossyLine) -> None:
    ref = await scene.begun()
    line.lose_reply_to("stop")
    assert await scene.turns.stop(ref) in (StopAnswer.STOPPED, StopAnswer.ENDED)
    assert (await scene.status(ref)).state is State.STOPPED
    assert await scene.live() == set()


async def test_stop_of_a_running_turn(scene: Scene, line: LossyLine) -> None:
    claim = await scene.claimed()
    line.lose_reply_to("stop")
    assert await scene.turns.stop(claim.ref) is StopAnswer.ASKED


@pytest.mark.parametrize("how", ["force_stop", "end_overdue"])
async def test_an_end_from_outside(scene: Scene, line: LossyLine, how: str) -> None:
    claim = await scene.claimed()
    await scene.say(claim, 1, "Hel")
    if how == "end_overdue":
        await scene.redis.hset(keys.turn(*claim.ref), "deadline", "1")
    line.lose_reply_to(how)
    await (scene.turns.force_stop if how == "force_stop" else scene.turns.end_overdue)(claim.ref)
    assert (await scene.status(claim.ref)).state.ended
    assert len(await scene.entries(claim.ref)) == 3


async def test_clear(scene: Scene, line: LossyLine) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    await scene.say(claim, 1, "Hel", Usage(3, 1, 4))
    line.lose_reply_to("forget")
    await scene.sessions.clear(session)
    after = await scene.reload(session)
    assert (after.running, after.usage) == (None, Usage(3, 1, 4))
    assert await scene.turns.status(claim.ref) is None


async def test_delete(scene: Scene, line: LossyLine) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    line.lose_reply_to("forget")
    await scene.sessions.delete(session.id)
    assert await scene.sessions.load(session.id) is None
    assert await scene.turns.status(claim.ref) is None


async def test_a_beat_and_a_census(scene: Scene, line: LossyLine) -> None:
    line.lose_reply_to("beat")
    await scene.beat()
    assert set((await scene.queue.census()).workers) == {scene.worker}


@pytest.mark.parametrize("name", ["page", "observe"])
async def test_a_page_of_a_log_and_a_look(scene: Scene, line: LossyLine, name: str) -> None:
    claim = await scene.claimed()
    line.lose_reply_to(name)
    assert len(await scene.entries(claim.ref)) == 1
    assert (await scene.status(claim.ref)).attempt == 1


async def test_leave(scene: Scene, line: LossyLine) -> None:
    ref = await scene.begun()
    line.lose_reply_to("leave")
    await scene.queue.leave(ref)
    assert await scene.live() == set()
    assert await scene.queue.waiting([ref]) == set()
