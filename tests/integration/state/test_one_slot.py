"""Every script stays inside one slot: a server in cluster mode refuses any other, also for keys it was not told of."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError

from gateway.state import keys
from gateway.state.connect import connect
from gateway.state.ids import new_token, session_id
from gateway.state.rates import Count, Rate, Rates, of_session
from gateway.state.records import Kind, TextRequest, Usage
from gateway.state.turnlog import Verdict
from gateway.state.turns import TOKENS, TurnLimits
from tests.integration.state.scene import Scene, picture
from tests.servers import RedisServer, free_port


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """One server that owns all slots, so that no client needs to know where a key lies."""
    args = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with RedisServer(tmp_path, args=args) as server:
        redis = connect(server.url, timeout=5)
        raw: Any = redis
        await raw.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        while b"cluster_state:ok" not in await raw.execute_command("CLUSTER INFO"):
            pass
        rates = {"turns": Rate(1000, 60), TOKENS: Rate(100_000, 60)}
        scene = Scene(redis, turn_limits=TurnLimits(history_turns=1, rates=rates))
        await scene.beat()
        yield scene
        await redis.aclose()


async def test_the_server_would_refuse_a_script_that_strays(scene: Scene) -> None:
    mine, theirs = (keys.session(session_id(new_token())) for _ in range(2))
    with pytest.raises(ResponseError):
        await scene.raw.eval(f"redis.call('HSET', KEYS[1], 'a', 1) redis.call('HSET', '{theirs}', 'a', 1)", 1, mine)


async def test_the_whole_contract_stays_inside_its_slots(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_message(session, "hello", key="k")
    await scene.sessions.put_images(session, [picture("a")])
    claim = await scene.claimed(session, None)
    await scene.say(claim, 1, "Hel", Usage(3, 1, 4))
    claim = await scene.reattempted(claim)
    assert await scene.turns.renew([claim]) == ["OK"]
    await scene.turns.put_back(claim)
    claim = await scene.claim(claim.ref)
    assert await scene.turns.expire(claim.ref, await scene.status(claim.ref))
    claim = await scene.claim(claim.ref)
    assert (await scene.end(claim, 1)).verdict is Verdict.OK
    for kind in (Kind.FAILED, Kind.DONE, Kind.STOPPED):
        assert (await scene.end(await scene.claimed(session), 1, kind)).verdict is Verdict.OK
    await scene.turns.stop(await scene.begun(session))
    claim = await scene.claimed(session)
    await scene.turns.stop(claim.ref)
    assert await scene.turns.force_stop(claim.ref)
    assert not await scene.turns.end_overdue(claim.ref)
    await scene.claimed(session)
    await scene.sessions.clear(session)
    await scene.claimed(await scene.reload(session))
    await scene.sessions.delete(session.id)

    ref = await scene.turns.submit("a prompt", TextRequest("text/plain"))
    assert await scene.queue.pop(1)
    assert (await scene.end(await scene.claim(ref), 1)).verdict is Verdict.OK
    assert (await scene.queue.census()).workers
    rates = [Count(name, Rate(10, 60), of_session(session.id)) for name in ("requests", "sessions")]
    assert (await Rates(scene.redis).take(rates)).refused is None
