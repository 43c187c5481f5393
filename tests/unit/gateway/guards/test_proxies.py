"""How much of the forwarding headers is believed."""

import pytest
from werkzeug.datastructures import Headers

from gateway.guards.proxies import Proxies

PEER = "10.0.0.9"


@pytest.mark.parametrize(
    ("trusted", "lines", "client"),
    [
        (0, ["1.1.1.1"], PEER),
        (1, [], PEER),
        (1, ["1.1.1.1"], "1.1.1.1"),
        (1, ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        (1, ["6.6.6.6", "1.1.1.1"], "1.1.1.1"),
        (2, ["6.6.6.6, 1.1.1.1, 2.2.2.2"], "1.1.1.1"),
        (2, ["6.6.6.6", "1.1.1.1 ,2.2.2.2"], "1.1.1.1"),
        (2, ["2.2.2.2"], "2.2.2.2"),
        (1, [" , "], PEER),
    ],
)
def test_the_client_is_what_the_outermost_trusted_proxy_saw(trusted: int, lines: list[str], client: str) -> None:
    headers = Headers([("X-Forwarded-For", line) for line in lines])
    assert Proxies(trusted).client(headers, PEER) == client
    scope = {"headers": [(b"x-forwarded-for", line.encode()) for line in lines], "client": (PEER, 1234)}
    assert Proxies(trusted).client_of(scope) == client


@pytest.mark.parametrize(
    ("trusted", "lines", "scheme"),
    [
        (0, ["https"], None),
        (1, [], None),
        (1, ["https"], "https"),
        (1, ["HTTPS"], "https"),
        (1, ["https, http"], "http"),
        (2, ["https, http"], "https"),
        (1, ["gopher"], None),
    ],
)
def test_the_scheme_is_known_only_from_a_trusted_proxy(trusted: int, lines: list[str], scheme: str | None) -> None:
    headers = Headers([("X-Forwarded-Proto", line) for line in lines])
    assert Proxies(trusted).scheme(headers) == scheme
