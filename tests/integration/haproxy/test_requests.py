import asyncio
import datetime
import ipaddress
import ssl
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.balancer import Balancer, balancer
from tests.dns import NameServer
from tests.integration.haproxy.conftest import Replicas
from tests.replica import FIRST_EVENT, Replica

pytestmark = [pytest.mark.needs_haproxy, pytest.mark.timeout(30)]

Pair = tuple[Replica, Replica]

FORGED = {
    "Forwarded": "for=192.0.2.7;proto=https",
    "X-Forwarded-For": "192.0.2.7",
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Proto": "https",
    "X-Real-IP": "192.0.2.7",
}


async def test_who_calls_is_not_taken_from_the_caller(haproxy: Balancer, pair: Pair) -> None:
    async with haproxy.http.get(f"{haproxy.url}/session", headers=FORGED):
        pass

    (request,) = [request for replica in pair for request in replica.asked("/session")]
    said = {name: value for name, value in request.headers.items() if name in {key.lower() for key in FORGED}}
    assert said == {"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http"}


async def test_a_proxy_in_front_is_believed_if_it_is_named(
    names: NameServer, replicas: Replicas, pair: Pair, tmp_path: Path
) -> None:
    front = "192.0.2.0/24 127.0.0.0/8"
    async with balancer(
        tmp_path / "log", names_port=names.port, gateway_port=replicas.port, FRONT_PROXIES=front
    ) as haproxy:
        await haproxy.sees(*(replica.address for replica in pair))
        async with haproxy.http.get(f"{haproxy.url}/session", headers=FORGED):
            pass

    (request,) = [request for replica in pair for request in replica.asked("/session")]
    assert request.headers["x-forwarded-proto"] == "https"
    assert request.headers["x-forwarded-for"] == "192.0.2.7, 127.0.0.1"


async def test_a_stream_outlives_a_silence_longer_than_every_short_timeout(haproxy: Balancer, pair: Pair) -> None:
    async with haproxy.http.get(f"{haproxy.url}/stream") as stream:
        assert await stream.content.readexactly(len(FIRST_EVENT)) == FIRST_EVENT
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stream.content.readany(), 11)
        for replica in pair:
            await replica.say(b"data: still here\n\n")
        assert await stream.content.readline() == b"data: still here\n"


@pytest.mark.parametrize("path", ["/slow", "/stream"], ids=["before the answer", "in mid-answer"])
async def test_a_caller_who_hangs_up_is_a_closed_connection_to_the_gateway(
    haproxy: Balancer, pair: Pair, path: str
) -> None:
    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(haproxy.get_text(path))
        while not (asked := [replica for replica in pair if replica.asked(path)]):
            await asyncio.sleep(0.01)

        call.cancel()

        await asyncio.wait_for(asked[0].hung_up.wait(), 3)


async def test_with_a_certificate_the_port_speaks_tls(
    names: NameServer, replicas: Replicas, pair: Pair, tmp_path: Path
) -> None:
    pem = tmp_path / "certificate.pem"
    pem.write_bytes(_self_signed())
    trusting = ssl.create_default_context(cafile=str(pem))
    async with balancer(
        tmp_path / "log", names_port=names.port, gateway_port=replicas.port, TLS_CERT=str(pem)
    ) as haproxy:
        await haproxy.sees(*(replica.address for replica in pair))
        async with haproxy.http.get(f"{haproxy.url}/session", ssl=trusting) as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientError):
            await haproxy.http.get(f"{haproxy.url}/session".replace("https:", "http:"))

    (request,) = [request for replica in pair for request in replica.asked("/session")]
    assert request.headers["x-forwarded-proto"] == "https"


def _self_signed() -> bytes:
    """A certificate for 127.0.0.1 and its key, as the PEM that HAProxy wants."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + secret
