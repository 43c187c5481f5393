import asyncio
import re

import pytest

from tests.balancer import Balancer
from tests.integration.haproxy.conftest import Replicas
from tests.replica import Replica

pytestmark = [pytest.mark.needs_haproxy, pytest.mark.timeout(30)]

EVENT_SOURCE = {"Accept": "text/event-stream"}
UNAVAILABLE = {
    "success": False,
    "error": "unavailable",
    "message": "No gateway can answer just now; try again in a moment.",
}

Pair = tuple[Replica, Replica]


async def test_a_refused_connection_is_tried_elsewhere(haproxy: Balancer, pair: Pair) -> None:
    gone, other = pair
    await gone.refuse()

    answered_by = await asyncio.gather(*(haproxy.get_text(f"/{number}") for number in range(6)))

    assert set(answered_by) == {other.address}
    assert "gateways/gateway" in await haproxy.logged("/+")  # how HAProxy logs a retry that went elsewhere


async def test_a_post_that_was_sent_is_never_sent_again(haproxy: Balancer, pair: Pair) -> None:
    for replica in pair:
        replica.dies = True

    async with haproxy.http.post(f"{haproxy.url}/chat", json={"message": "once"}) as answer:
        assert answer.status == 502
        assert await answer.json() == UNAVAILABLE
        assert answer.headers["Retry-After"] in {"1", "2", "3"}

    assert len([request for replica in pair for request in replica.asked("/chat")]) == 1


async def test_a_refused_post_is_tried_elsewhere(haproxy: Balancer, pair: Pair) -> None:
    gone, other = pair
    await gone.refuse()

    async def post() -> str:
        async with haproxy.http.post(f"{haproxy.url}/chat", json={"message": "once"}) as answer:
            return await answer.text()

    assert await asyncio.gather(*(post() for _ in range(6))) == [other.address] * 6
    assert len(other.asked("/chat")) == 6


async def test_a_get_whose_replica_died_is_answered_by_another(haproxy: Balancer, pair: Pair) -> None:
    pair[0].dies = True

    answered_by = [await haproxy.get_text("/session") for _ in range(4)]

    assert answered_by == [pair[1].address] * 4
    assert pair[0].asked("/session")


async def test_without_a_gateway_an_event_source_is_told_to_come_back(haproxy: Balancer, pair: Pair) -> None:
    for replica in pair:
        replica.ready = False
    await haproxy.sees()

    delays = set()
    for _ in range(8):
        async with haproxy.http.get(f"{haproxy.url}/stream", headers=EVENT_SOURCE) as answer:
            assert answer.status == 200
            assert answer.content_type == "text/event-stream"
            assert answer.headers["Cache-Control"] == "no-store"
            assert "Retry-After" not in answer.headers
            said = re.fullmatch(r"retry: (\d+)\n", await answer.text())
        assert said is not None
        delays.add(int(said[1]))

    assert all(1000 <= delay < 5000 for delay in delays)
    assert len(delays) > 1


async def test_an_event_source_whose_replicas_die_is_told_to_come_back(haproxy: Balancer, pair: Pair) -> None:
    for replica in pair:
        replica.dies = True

    async with haproxy.http.get(f"{haproxy.url}/stream", headers=EVENT_SOURCE) as answer:
        assert answer.status == 200
        assert (await answer.text()).startswith("retry: ")


async def test_without_a_gateway_everyone_else_gets_the_products_error(haproxy: Balancer, pair: Pair) -> None:
    for replica in pair:
        replica.ready = False
    await haproxy.sees()

    for method, path, headers in (("POST", "/chat", EVENT_SOURCE), ("GET", "/stream", {}), ("GET", "/history", {})):
        async with haproxy.http.request(method, haproxy.url + path, headers=headers) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] in {"1", "2", "3"}
            assert await answer.json() == UNAVAILABLE


async def test_a_page_of_another_origin_can_read_that_no_gateway_is_there(haproxy: Balancer, pair: Pair) -> None:
    for replica in pair:
        replica.ready = False
    await haproxy.sees()

    async with haproxy.http.get(
        f"{haproxy.url}/stream", headers={**EVENT_SOURCE, "Origin": "https://a.test"}
    ) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "https://a.test"
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert answer.headers["Vary"] == "Origin"


async def test_what_a_gateway_says_is_passed_on_untouched(haproxy: Balancer, pair: Pair) -> None:
    headers = {**EVENT_SOURCE, "Origin": "https://a.test"}
    for replica in pair:
        replica.conflict = True

    async with haproxy.http.get(f"{haproxy.url}/stream", headers=headers) as answer:
        assert answer.status == 409
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_the_balancers_own_health_does_not_hang_on_the_gateways(haproxy: Balancer, replicas: Replicas) -> None:
    replicas.names.addresses.clear()

    async with haproxy.http.get(f"{haproxy.inside}/health") as answer:
        assert answer.status == 200
    async with haproxy.http.get(f"{haproxy.inside}/metrics") as answer:
        assert "haproxy_backend_active_servers" in await answer.text()
