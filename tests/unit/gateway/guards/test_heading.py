"""What every answer's head says."""

import pytest

from gateway.guards.heading import Heading
from gateway.guards.origin import AllowedOrigins

NAMED, ANY = "https://shop.example", "*"


def completed(cors_origin: str, *said: tuple[bytes, bytes]) -> dict[str, str]:
    """The head of an answer whose route said this."""
    head = list(said)
    Heading(AllowedOrigins.parse(cors_origin)).complete(head)
    assert len({name for name, _ in head}) == len(head), "each field once"
    return {name.decode(): value.decode() for name, value in head}


def test_nothing_is_stored_sniffed_or_framed() -> None:
    head = completed(ANY)
    assert head["cache-control"] == "no-store"
    assert head["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in head["content-security-policy"]
    assert head["referrer-policy"] == "no-referrer"


def test_what_a_route_said_stays() -> None:
    assert completed(ANY, (b"cache-control", b"no-cache"))["cache-control"] == "no-cache"


@pytest.mark.parametrize(("cors_origin", "policy"), [(ANY, "same-origin"), (NAMED, "cross-origin")])
def test_others_embed_only_where_origins_are_named(cors_origin: str, policy: str) -> None:
    assert completed(cors_origin)["cross-origin-resource-policy"] == policy
