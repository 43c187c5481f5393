from collections import Counter

import pytest

from tests.balancer import Balancer
from tests.integration.haproxy.conftest import Replicas
from tests.replica import FIRST_EVENT, Replica

NEXT_EVENT = b"id: a:1-2\ndata: next\n\n"

pytestmark = [pytest.mark.needs_haproxy, pytest.mark.timeout(30)]

Pair = tuple[Replica, Replica]


async def test_a_replica_that_joins_is_found_without_an_edit(haproxy: Balancer, pair: Pair, replicas: Replicas) -> None:
    (joining,) = await replicas.start(1)
    await haproxy.sees(*(replica.address for replica in (*pair, joining)))

    answered_by = Counter([await haproxy.get_text("/") for _ in range(9)])

    assert set(answered_by) == {replica.address for replica in (*pair, joining)}


async def test_streams_are_spread_evenly(haproxy: Balancer, pair: Pair) -> None:
    answers = [await haproxy.http.get(f"{haproxy.url}/stream") for _ in range(8)]

    assert [len(replica.streams) for replica in pair] == [4, 4]
    for answer in answers:
        answer.close()


async def test_a_draining_replica_gets_nothing_new_and_keeps_its_streams(haproxy: Balancer, pair: Pair) -> None:
    draining, other = pair
    streams = [await haproxy.http.get(f"{haproxy.url}/stream") for _ in range(2)]
    assert len(draining.streams) == 1

    draining.ready = False
    await haproxy.sees(other.address)

    answered_by = Counter([await haproxy.get_text("/") for _ in range(10)])
    assert answered_by == {other.address: 10}
    for replica in pair:
        await replica.say(NEXT_EVENT)
    for stream in streams:
        assert await stream.content.readexactly(len(FIRST_EVENT + NEXT_EVENT)) == FIRST_EVENT + NEXT_EVENT
        stream.close()


async def test_a_replica_that_is_ready_again_gets_requests_again(haproxy: Balancer, pair: Pair) -> None:
    for replica in pair:
        replica.ready = False
    await haproxy.sees()

    pair[0].ready = True
    await haproxy.sees(pair[0].address)

    assert await haproxy.get_text("/") == pair[0].address


async def test_a_replica_that_the_name_no_longer_lists_keeps_its_streams(
    haproxy: Balancer, pair: Pair, replicas: Replicas
) -> None:
    streams = [await haproxy.http.get(f"{haproxy.url}/stream") for _ in range(2)]
    leaving, other = pair
    replicas.delist(leaving)
    await haproxy.sees(other.address)

    for replica in pair:
        await replica.say(NEXT_EVENT)

    for stream in streams:
        assert await stream.content.readexactly(len(FIRST_EVENT + NEXT_EVENT)) == FIRST_EVENT + NEXT_EVENT
        stream.close()


async def test_the_log_says_when_all_slots_are_in_use(haproxy: Balancer, pair: Pair, replicas: Replicas) -> None:
    all_but_one = [*pair, *await replicas.start(17)]
    await haproxy.sees(*(replica.address for replica in all_but_one))
    await haproxy.get_text("/one-is-free")
    last = await replicas.start(1)
    await haproxy.sees(*(replica.address for replica in all_but_one + last))
    await haproxy.get_text("/none-is-free")

    notice = "all 20 gateway slots are in use: raise GATEWAY_SLOTS"
    assert notice not in await haproxy.logged("/one-is-free")
    assert notice in await haproxy.logged("/none-is-free")
