"""The queue: order, hints that may be wrong, and who is there to work."""

import asyncio

import pytest

from gateway.state import keys
from gateway.state.errors import NoWorker
from gateway.state.ids import TurnRef, new_turn_id, new_worker_id, one_off_session_id
from gateway.state.queue import Queue
from gateway.state.records import About
from tests.integration.gateway.state.conftest import Opened
from tests.integration.gateway.state.scene import ABOUT, Scene


async def entered(scene: Scene, at: int) -> TurnRef:
    """A turn that entered the index at a moment of the test's choosing (ms), and waits."""
    ref = TurnRef(one_off_session_id(), new_turn_id())
    await scene.queue.enter(ref)
    await scene.redis.zadd(keys.LIVE, {str(ref): at})
    await scene.queue.ready(ref)
    return ref


async def drained(queue: Queue) -> list[TurnRef]:
    popped = []
    while ref := await queue.pop(0.01):
        popped.append(ref)
    return popped


async def test_who_has_waited_longest_is_next(scene: Scene) -> None:
    second, third, first = await entered(scene, 2), await entered(scene, 3), await entered(scene, 1)
    assert await drained(scene.queue) == [first, second, third]


async def test_a_second_hint_is_the_same_hint(scene: Scene, other: Scene) -> None:
    ref = await scene.begun()
    await asyncio.gather(scene.queue.ready(ref), other.queue.ready(ref))
    assert await drained(scene.queue) == [ref]


async def test_a_turn_that_was_put_back_keeps_its_place_in_the_line(scene: Scene) -> None:
    first = await scene.begun()
    await scene.redis.zadd(keys.LIVE, {str(first): 1})
    claim = await scene.claim(first)
    await drained(scene.queue)
    second = await entered(scene, 2)
    await scene.turns.put_back(claim)
    assert await drained(scene.queue) == [first, second]


async def test_two_workers_never_pop_the_same_hint(scene: Scene, other: Scene) -> None:
    refs = {await entered(scene, at) for at in range(10)}
    popped = await asyncio.gather(*(client.queue.pop(0.1) for client in (scene, other) for _ in range(5)))
    assert set(popped) == refs


async def test_an_empty_line_gives_none_after_the_timeout(scene: Scene) -> None:
    assert await scene.queue.pop(0.01) is None


async def test_a_pop_that_waits_is_woken_by_a_hint(scene: Scene, other: Scene) -> None:
    waiting = asyncio.ensure_future(other.queue.pop(5))
    ref = await scene.begun()
    assert await waiting == ref


async def test_the_live_index_is_oldest_first_with_ages(scene: Scene) -> None:
    newer, older = await scene.begun(), await scene.begun()
    await scene.redis.zadd(keys.LIVE, {str(older): 1})
    [(first, age), (second, small)] = await scene.queue.live(limit=10)
    assert (first, second) == (older, newer)
    assert age > 1_000_000_000
    assert 0 <= small < 60
    assert [ref for ref, _ in await scene.queue.live(limit=1)] == [older]


async def test_an_ended_turn_leaves_line_and_index(scene: Scene) -> None:
    ref, stays = await scene.begun(), await scene.begun()
    await scene.queue.leave(ref)
    await scene.queue.leave(ref)
    assert await scene.live() == await scene.queue.waiting([ref, stays]) == {stays}


async def test_nobody_asked_for_is_nobody_waiting(scene: Scene) -> None:
    assert await scene.queue.waiting([]) == set()


async def test_the_census_counts_the_line_the_index_and_the_workers(scene: Scene, other: Scene) -> None:
    empty = await scene.queue.census()
    assert (empty.waiting, empty.live, empty.oldest_wait) == (0, 0, 0.0)
    assert empty.workers == {scene.worker: ABOUT, other.worker: ABOUT}
    await scene.begun()
    ref = await scene.begun()
    await entered(scene, 1)
    await scene.redis.zrem(keys.READY, str(ref))
    census = await scene.queue.census()
    assert (census.waiting, census.live) == (2, 3)
    assert census.oldest_wait > 1_000_000_000


async def test_a_worker_says_something_else_with_its_next_beat(scene: Scene) -> None:
    about = About(model="gemini-other", offline=False, concurrency=8, version="2")
    await scene.queue.beat(scene.worker, about, lifetime=60)
    assert (await scene.queue.census()).workers == {scene.worker: about}


async def test_a_worker_that_resigns_is_gone_at_once(scene: Scene) -> None:
    await scene.queue.resign(scene.worker)
    assert (await scene.queue.census()).workers == {}
    assert await scene.redis.exists(keys.WORKERS, keys.ABOUT, keys.LEASES) == 0
    with pytest.raises(NoWorker):
        await scene.queue.admit()


async def test_each_beat_raises_its_own_workers_counter(scene: Scene, other: Scene) -> None:
    assert await scene.queue.leases() == {scene.worker: 1, other.worker: 1}
    assert await scene.queue.beat(scene.worker, ABOUT, lifetime=60) == 2
    assert await scene.queue.leases() == {scene.worker: 2, other.worker: 1}


async def test_a_worker_that_takes_no_more_turns_is_counted_on_no_more_and_beats_on(scene: Scene) -> None:
    for counter in (2, 3):
        assert await scene.queue.beat(scene.worker, None, lifetime=60) == counter
        assert (await scene.queue.census()).workers == {}
        with pytest.raises(NoWorker):
            await scene.queue.admit()


async def test_a_worker_that_was_buried_begins_anew(scene: Scene, other: Scene) -> None:
    await other.beat()
    await scene.queue.bury(other.worker)
    assert await scene.queue.leases() == {scene.worker: 1}
    assert await other.queue.beat(other.worker, ABOUT, lifetime=60) == 1


async def test_a_worker_that_stopped_beating_is_not_counted(scene: Scene) -> None:
    await scene.redis.zadd(keys.WORKERS, {scene.worker: 1})
    assert (await scene.queue.census()).workers == {}
    with pytest.raises(NoWorker):
        await scene.queue.admit()


async def test_a_worker_of_which_nothing_is_known_is_left_out_of_the_census(scene: Scene, other: Scene) -> None:
    await scene.redis.hdel(keys.ABOUT, scene.worker)
    assert (await scene.queue.census()).workers == {other.worker: ABOUT}


async def test_the_next_beat_sweeps_out_every_trace_of_the_dead(scene: Scene, other: Scene) -> None:
    await scene.redis.zadd(keys.WORKERS, {scene.worker: 1})
    for _ in range(3):
        dead = new_worker_id()
        await scene.queue.beat(dead, ABOUT, lifetime=60)
        await scene.redis.zadd(keys.WORKERS, {dead: 1})
    await other.beat()
    for key in (keys.WORKERS, keys.ABOUT):
        names = await (scene.redis.zrange(key, 0, -1) if key == keys.WORKERS else scene.redis.hkeys(key))
        assert names == [other.worker.encode()]


async def test_turns_in_front_of_a_full_line_are_let_in_again_once_one_is_taken(opened: Opened) -> None:
    scene = Scene(opened(), queue=(queue := Queue(opened(), limit=1)))
    await scene.beat()
    await scene.begun()
    await queue.pop(0.1)
    await queue.admit()
    await scene.begun()
