"""The balancer as the profile ``tls`` sets it up: HTTPS with HTTP/2, the way there from plain HTTP, and HSTS."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.balancer import Balancer, balancer
from tests.dns import NameServer
from tests.integration.haproxy.conftest import Replicas
from tests.pages import self_signed
from tests.replica import FIRST_EVENT, Replica
from tests.servers import free_port

pytestmark = [pytest.mark.needs_haproxy, pytest.mark.timeout(30)]

NAME = "chat.gateway.test"
HSTS = "max-age=31536000"

Secure = Callable[..., Awaitable["Door"]]


@dataclass
class Door:
    """The balancer with TLS; ``plain`` is where it sends plain HTTP away."""

    balancer: Balancer
    plain: str
    http: httpx2.AsyncClient

    @property
    def port(self) -> str:
        return self.balancer.url.rpartition(":")[2]


@pytest.fixture
async def secure(
    names: NameServer, replicas: Replicas, pair: tuple[Replica, Replica], tmp_path: Path
) -> AsyncIterator[Secure]:
    """Starts it with more of its variables."""
    pem = tmp_path / "tls.pem"
    pem.write_bytes(self_signed(NAME))
    trusting = ssl.create_default_context(cafile=str(pem))
    trusting.check_hostname = False
    async with AsyncExitStack() as stack:

        async def start(**environ: str) -> Door:
            plain = f"127.0.0.1:{free_port()}"
            running = await stack.enter_async_context(
                balancer(
                    tmp_path / "haproxy.log",
                    names_port=names.port,
                    gateway_port=replicas.port,
                    TLS_CERT=str(pem),
                    REDIRECT_BIND=plain,
                    **environ,
                )
            )
            await running.sees(*(replica.address for replica in pair))
            http = httpx2.AsyncClient(http2=True, verify=trusting, trust_env=False)
            return Door(running, f"http://{plain}", await stack.enter_async_context(http))

        yield start


async def test_http_2_is_spoken_and_the_gateways_are_told_of_tls(secure: Secure, pair: tuple[Replica, Replica]) -> None:
    door = await secure(HSTS=HSTS)
    answer = await door.http.get(f"{door.balancer.url}/session")

    assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
    assert answer.headers["strict-transport-security"] == HSTS
    (request,) = [request for replica in pair for request in replica.asked("/session")]
    assert request.headers["x-forwarded-proto"] == "https"


async def test_streams_share_one_http_2_connection_and_come_as_they_are_written(secure: Secure) -> None:
    door = await secure()
    connections: set[Any] = set()
    url = f"{door.balancer.url}/stream"
    async with door.http.stream("GET", url) as one, door.http.stream("GET", url) as other:
        for stream in (one, other):
            connections.add(stream.extensions["network_stream"].get_extra_info("client_addr"))
            assert await anext(stream.aiter_raw()) == FIRST_EVENT

    assert len(connections) == 1


async def test_plain_http_is_sent_to_https_with_path_and_query(secure: Secure) -> None:
    door = await secure()
    for method in ("GET", "POST"):
        answer = await door.http.request(method, f"{door.plain}/ui?a=1&b=2", headers={"Host": f"{NAME}:8080"})
        assert (answer.status_code, answer.headers["location"]) == (308, f"https://{NAME}/ui?a=1&b=2")
        assert (
            "strict-transport-security" not in answer.headers
        )  # over plain HTTP browsers must ignore it (RFC 6797, 7.2)


async def test_https_on_another_port_is_named_in_the_way_there(secure: Secure) -> None:
    door = await secure(REDIRECT_PORT="8443")
    for host in (NAME, "127.0.0.1:80", "[::1]:80"):
        answer = await door.http.get(f"{door.plain}/", headers={"Host": host})
        assert answer.headers["location"] == f"https://{host.removesuffix(':80')}:8443/"


async def test_what_the_balancer_says_itself_carries_hsts_too(secure: Secure, pair: tuple[Replica, Replica]) -> None:
    door = await secure(HSTS=HSTS)
    for replica in pair:
        replica.ready = False
    await door.balancer.sees()
    answer = await door.http.get(f"{door.balancer.url}/session")
    assert (answer.status_code, answer.headers["strict-transport-security"]) == (503, HSTS)


async def test_without_hsts_nobody_is_bound(secure: Secure) -> None:
    door = await secure()
    answer = await door.http.get(f"{door.balancer.url}/session")
    assert "strict-transport-security" not in answer.headers
