"""Decision 12 as a table: who may call."""

import pytest

from gateway.guards.origin import (
    AllowedOrigins,
    Approach,
    Caller,
    Exposure,
    embeddable,
    exposure_of,
    open_to_all,
    refused,
)

HOST = "chat.example:8443"
ANY = AllowedOrigins.parse("*")
NAMED = AllowedOrigins.parse("https://app.example, http://localhost:3000")


def approach(origin: str | None = None, site: str | None = None, scheme: str | None = None) -> Approach:
    return Approach(origin, site, HOST, scheme)


@pytest.mark.parametrize(
    ("seen", "caller"),
    [
        (approach(), Caller.PROGRAM),
        (approach("https://chat.example:8443"), Caller.OWN),
        (approach("http://chat.example:8443"), Caller.OWN),
        (approach("https://CHAT.example:8443"), Caller.OWN),
        (approach("http://chat.example:8443", scheme="https"), Caller.FOREIGN),
        (approach("https://chat.example:8443", scheme="https"), Caller.OWN),
        (approach("https://chat.example"), Caller.FOREIGN),
        (approach("https://evil.example"), Caller.FOREIGN),
        (approach("https://chat.example:8443.evil.example"), Caller.FOREIGN),
        (approach("null"), Caller.FOREIGN),
        (approach(""), Caller.FOREIGN),
        (approach("https://evil.example", "same-origin"), Caller.FOREIGN),
        (approach("null", "same-origin"), Caller.FOREIGN),
        (approach(None, "same-origin"), Caller.OWN),
        (approach(None, "none"), Caller.OWN),
        (approach(None, "same-site"), Caller.FOREIGN),
        (approach(None, "cross-site"), Caller.FOREIGN),
        (approach(None, "something-new"), Caller.FOREIGN),
        (approach("https://app.example"), Caller.NAMED),
        (approach("http://localhost:3000", "cross-site"), Caller.NAMED),
        (approach("https://app.example:444"), Caller.FOREIGN),
    ],
)
def test_a_caller_is_told_by_origin_first_and_by_fetch_metadata_else(seen: Approach, caller: Caller) -> None:
    assert seen.caller(NAMED) is caller


@pytest.mark.parametrize(
    ("seen", "cookie", "allowed", "turned_away"),
    [
        (approach(), True, ANY, False),
        (approach(), True, NAMED, False),
        (approach("https://chat.example:8443"), True, ANY, False),
        (approach("https://app.example"), True, NAMED, False),
        (approach("https://evil.example"), False, NAMED, True),
        (approach("https://evil.example"), True, NAMED, True),
        (approach("https://evil.example"), False, ANY, False),
        (approach("https://evil.example"), True, ANY, True),
        (approach("null"), False, NAMED, True),
        (approach("null"), True, ANY, True),
        (approach(None, "cross-site"), False, NAMED, True),
        (approach(None, "same-site"), True, ANY, True),
        (approach(None, "cross-site"), False, ANY, False),
    ],
)
def test_a_guarded_route_is_closed_to_foreign_pages(
    seen: Approach, cookie: bool, allowed: AllowedOrigins, turned_away: bool
) -> None:
    assert refused(seen, Exposure.GUARDED, cookie=cookie, allowed=allowed) is turned_away


def test_an_open_route_answers_everybody() -> None:
    assert not refused(approach("https://evil.example"), Exposure.OPEN, cookie=True, allowed=NAMED)


def test_a_picture_may_be_shown_by_a_page_but_not_fetched_by_a_foreign_one() -> None:
    shown, fetched = approach(None, "cross-site"), approach("https://evil.example", "cross-site")
    assert not refused(shown, Exposure.EMBEDDABLE, cookie=True, allowed=NAMED)
    assert refused(fetched, Exposure.EMBEDDABLE, cookie=True, allowed=NAMED)


def test_a_route_is_guarded_unless_it_says_otherwise() -> None:
    def plain() -> None: ...

    @open_to_all
    def page() -> None: ...

    @embeddable
    def picture() -> None: ...

    assert exposure_of(plain) is Exposure.GUARDED
    assert exposure_of(page) is Exposure.OPEN
    assert exposure_of(picture) is Exposure.EMBEDDABLE
    assert exposure_of(None) is Exposure.OPEN


@pytest.mark.parametrize("text", ["*", "", " ", " * ", ","])
def test_no_name_is_any_origin(text: str) -> None:
    assert AllowedOrigins.parse(text).any


def test_origins_are_compared_as_browsers_write_them() -> None:
    allowed = AllowedOrigins.parse("https://App.Example:443/, http://[::1]:80 ,http://localhost:3000")
    assert allowed.named == {"https://app.example", "http://[::1]", "http://localhost:3000"}
    assert not allowed.any


@pytest.mark.parametrize(
    "text",
    [
        "app.example",
        "https://app.example/page",
        "null",
        "https://a.example,*",
        "ftp://a.example",
        "https://a b",
        "https://u@a",
    ],
)
def test_what_is_no_origin_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="expected an origin"):
        AllowedOrigins.parse(text)
