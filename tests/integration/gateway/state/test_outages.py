"""A server that is away, frozen, full or read-only: told as such, in time, and forgotten when it is back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.connect import connect
from gateway.state.errors import StateUnavailable
from gateway.state.ids import START
from gateway.state.records import Claim, Kind, Session, TextRequest
from gateway.state.turnlog import Verdict
from gateway.state.wakeups import Wakeups
from tests.integration.gateway.state.scene import CLAIMS_ALLOWED, Scene, end_write, picture, text_write
from tests.servers import RedisServer

TIMEOUT = 0.5
BOUND = 2 * TIMEOUT + 2.0
"""What connect promises, and room for a busy machine: still far from what redis-py would wait by itself."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, to be hurt."""
    with RedisServer(tmp_path, aof=True) as server:
        yield server


@pytest.fixture
async def scene(server: RedisServer) -> AsyncIterator[Scene]:
    redis = connect(server.url, timeout=TIMEOUT)
    scene = Scene(redis)
    await scene.beat()
    yield scene
    await redis.aclose()


@pytest.fixture
async def narrow(server: RedisServer) -> AsyncIterator[Redis]:
    """A pool of one connection: whatever is wrong with it, the next command meets it."""
    redis = connect(server.url, timeout=TIMEOUT, connections=1)
    yield redis
    await redis.aclose()


Operation = Callable[[Scene, Session, Claim], Awaitable[object]]


async def _silence(scene: Scene) -> None:
    async for _ in Wakeups(scene.redis).of(scene.worker, patience=TIMEOUT):
        pass


OPERATIONS: dict[str, Operation] = {
    "create": lambda scene, session, claim: scene.sessions.create(session.id),
    "load": lambda scene, session, claim: scene.sessions.load(session.id),
    "put_message": lambda scene, session, claim: scene.sessions.put_message(session, "hello"),
    "put_images": lambda scene, session, claim: scene.sessions.put_images(session, [picture("a")]),
    "history": lambda scene, session, claim: scene.sessions.history(session.id),
    "image": lambda scene, session, claim: scene.sessions.image(session.id, picture("a").ref.id),
    "images": lambda scene, session, claim: scene.sessions.images(session.id, [picture("a").ref.id]),
    "clear": lambda scene, session, claim: scene.sessions.clear(session),
    "delete": lambda scene, session, claim: scene.sessions.delete(session.id),
    "begin": lambda scene, session, claim: scene.turns.begin(session),
    "submit": lambda scene, session, claim: scene.turns.submit("a prompt", TextRequest("text/plain")),
    "status": lambda scene, session, claim: scene.turns.status(claim.ref),
    "observe": lambda scene, session, claim: scene.turns.observe([claim.ref]),
    "stop": lambda scene, session, claim: scene.turns.stop(claim.ref),
    "force_stop": lambda scene, session, claim: scene.turns.force_stop(claim.ref),
    "claim": lambda scene, session, claim: scene.turns.claim(claim.ref, claim.token, claims_allowed=CLAIMS_ALLOWED),
    "check": lambda scene, session, claim: scene.turns.check([claim]),
    "reattempt": lambda scene, session, claim: scene.turns.reattempt(claim, "upstream_broke"),
    "put_back": lambda scene, session, claim: scene.turns.put_back(claim),
    "read": lambda scene, session, claim: scene.log.read(claim.ref, START),
    "write": lambda scene, session, claim: scene.log.write([text_write(claim, 1, "Hel")]),
    "admit": lambda scene, session, claim: scene.queue.admit(),
    "ready": lambda scene, session, claim: scene.queue.ready(claim.ref),
    "leave": lambda scene, session, claim: scene.queue.leave(claim.ref),
    "pop": lambda scene, session, claim: scene.queue.pop(TIMEOUT / 2),
    "live": lambda scene, session, claim: scene.queue.live(limit=10),
    "waiting": lambda scene, session, claim: scene.queue.waiting([claim.ref]),
    "beat": lambda scene, session, claim: scene.beat(),
    "leases": lambda scene, session, claim: scene.queue.leases(),
    "bury": lambda scene, session, claim: scene.queue.bury(scene.worker),
    "resign": lambda scene, session, claim: scene.queue.resign(scene.worker),
    "census": lambda scene, session, claim: scene.queue.census(),
    "wakeups": lambda scene, session, claim: _silence(scene),
}


async def everything_fails_in_time(scene: Scene, session: Session, claim: Claim) -> None:
    """All at once, as an outage meets a busy process."""

    async def fails(name: str, operation: Operation) -> str | None:
        began = monotonic()
        try:
            await operation(scene, session, claim)
        except StateUnavailable as error:
            took = monotonic() - began
            return None if took < BOUND and error.retryable else f"{name} took {took:.2f} s"
        return f"{name} did not fail"

    complaints = await asyncio.gather(*(fails(*item) for item in OPERATIONS.items()))
    assert [complaint for complaint in complaints if complaint] == []


async def test_a_killed_server_is_unavailable_and_back_with_all_it_had(scene: Scene, server: RedisServer) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    server.kill()
    await everything_fails_in_time(scene, session, claim)
    server.start()
    assert (await scene.say(claim, 1, "Hello")).verdict is Verdict.OK
    assert (await scene.end(claim, 2)).verdict is Verdict.OK
    [turn] = await scene.sessions.history(session.id)
    assert turn.answer == "Hello"


async def test_a_frozen_server_is_unavailable_and_thaws_without_harm(scene: Scene, server: RedisServer) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    server.freeze()
    await everything_fails_in_time(scene, session, claim)
    server.thaw()
    await scene.beat()
    claim = await scene.claimed()
    assert (await scene.end(claim, 1)).verdict is Verdict.OK
    assert await scene.without_lifetime() <= {keys.READY, keys.LIVE, keys.WORKERS, keys.ABOUT, keys.LEASES}


async def test_a_command_that_timed_out_is_not_sent_again(scene: Scene, server: RedisServer) -> None:
    await scene.beat()
    server.freeze()
    with pytest.raises(StateUnavailable):
        await scene.beat()
    server.thaw()
    assert (await scene.queue.leases())[scene.worker] <= 3


async def test_connections_cut_by_the_server_are_opened_anew_unnoticed(scene: Scene, server: RedisServer) -> None:
    claim = await scene.claimed()
    cutter: Any = server.client()
    for seq in range(1, 6):
        await cutter.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert (await scene.say(claim, seq, str(seq))).verdict.written
    await cutter.aclose()
    assert len(await scene.entries(claim.ref)) == 6


async def test_no_reply_of_a_timed_out_command_reaches_the_next_one(narrow: Redis, server: RedisServer) -> None:
    scene = Scene(narrow)
    await scene.beat()
    session, empty = await scene.session(), await scene.session()
    await scene.sessions.put_message(session, "hello")
    server.freeze()
    with pytest.raises(StateUnavailable):
        await scene.sessions.load(session.id)
    server.thaw()
    for _ in range(3):
        assert await scene.sessions.load(empty.id) == empty
        assert (await scene.reload(session)).pending_message


async def test_no_reply_of_a_cancelled_command_reaches_the_next_one(narrow: Redis, server: RedisServer) -> None:
    scene = Scene(narrow)
    await scene.beat()
    session, empty = await scene.session(), await scene.session()
    await scene.sessions.put_message(session, "hello")
    server.freeze()
    load = asyncio.ensure_future(scene.sessions.load(session.id))
    write = asyncio.ensure_future(scene.queue.live(limit=10))
    await asyncio.sleep(0)
    await asyncio.wait([load, write], timeout=TIMEOUT / 5)
    load.cancel()
    write.cancel()
    await asyncio.gather(load, write, return_exceptions=True)
    assert load.cancelled()
    assert write.cancelled()
    server.thaw()
    for _ in range(3):
        assert await scene.sessions.load(empty.id) == empty


async def test_who_finds_no_free_connection_in_time_is_told_so(narrow: Redis) -> None:
    scene = Scene(narrow)
    session = await scene.session()
    pool: Any = narrow.connection_pool
    connection = await pool.get_connection()
    began = monotonic()
    with pytest.raises(StateUnavailable):
        await scene.sessions.images(session.id, [picture("a").ref.id])
    assert monotonic() - began < BOUND
    assert await scene.sessions.load(session.id) == session, "it needs no connection of its own"
    await pool.release(connection)
    assert await scene.sessions.images(session.id, [picture("a").ref.id]) == {}


@pytest.mark.parametrize("trouble", [("maxmemory", "1"), ("min-replicas-to-write", "1")])
async def test_a_server_that_takes_no_writes_takes_none_by_halves(scene: Scene, trouble: tuple[str, str]) -> None:
    session = await scene.session()
    claim = await scene.claimed(session)
    waiting = await scene.session()
    before = await scene.stored()
    await scene.redis.config_set(*trouble)
    replies = await scene.log.write([text_write(claim, 1, "Hello"), end_write(claim, 1, Kind.FAILED)])
    assert [reply.verdict for reply in replies] == [Verdict.ERROR, Verdict.ERROR]
    for refused in (
        scene.beat(),
        scene.sessions.put_message(waiting, "hello"),
        scene.sessions.put_images(waiting, [picture("a")]),
        scene.turns.begin(waiting, message="hello"),
        scene.turns.reattempt(claim, "upstream_broke"),
    ):
        with pytest.raises(StateUnavailable):
            await refused
    assert await scene.stored() == before
    await scene.redis.config_set(trouble[0], "0")
    assert (await scene.say(claim, 1, "Hello")).verdict is Verdict.OK
    assert (await scene.end(claim, 2)).verdict is Verdict.OK
