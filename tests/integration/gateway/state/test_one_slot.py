"""Every script stays inside one slot, also with the keys that it was not told of: MONITOR shows them all."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.state import keys
from gateway.state.connect import connect
from gateway.state.ids import new_token, session_id
from gateway.state.rates import Count, Rate, Rates, of_session
from gateway.state.records import Kind, TextRequest, Usage
from gateway.state.turnlog import Verdict
from gateway.state.turns import TOKENS, TurnLimits
from tests.integration.gateway.state.scene import Scene, picture
from tests.servers import RedisServer

_TAG = re.compile(r"gg1:\{([^}]+)\}")


@pytest.fixture
async def scene(valkey: RedisServer) -> AsyncIterator[Scene]:
    redis = connect(valkey.url, timeout=5)
    await redis.flushall()
    rates = {"turns": Rate(1000, 60), TOKENS: Rate(100_000, 60)}
    scene = Scene(redis, turn_limits=TurnLimits(history_turns=1, rates=rates))
    await scene.beat()
    yield scene
    await redis.aclose()


@asynccontextmanager
async def watched(redis: Any) -> AsyncIterator[list[set[str]]]:
    """The hash tags that each script touched, one set a run; filled when the scope is left."""
    scripts: list[set[str]] = []
    async with redis.monitor() as monitor:
        yield scripts
        await redis.echo("that was all")
        while "that was all" not in (seen := await monitor.next_command())["command"]:
            began = seen["command"].upper().startswith("EVAL")
            if began:
                scripts.append(set())
            if began or seen["client_type"] == "lua":
                scripts[-1].update(_TAG.findall(seen["command"]))


async def test_a_script_that_strays_would_be_seen(scene: Scene) -> None:
    mine, theirs = (keys.session(session_id(new_token())) for _ in range(2))
    async with watched(scene.redis) as scripts:
        await scene.raw.eval(f"redis.call('HSET', KEYS[1], 'a', 1) redis.call('HSET', '{theirs}', 'a', 1)", 1, mine)
    assert [len(tags) for tags in scripts] == [2]


async def test_the_whole_contract_stays_inside_its_slots(scene: Scene) -> None:
    async with watched(scene.redis) as scripts:
        await live_through_everything(scene)
    assert len(scripts) > 50
    assert [tags for tags in scripts if len(tags) != 1] == []


async def live_through_everything(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_message(session, "hello", key="k")
    await scene.sessions.put_images(session, [picture("a")])
    claim = await scene.claimed(session, None)
    await scene.say(claim, 1, "Hel", Usage(3, 1, 4))
    claim = await scene.reattempted(claim)
    assert await scene.turns.check([claim]) == ["OK"]
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
