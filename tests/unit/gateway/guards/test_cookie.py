"""What the session cookie looks like, and what is read of one that comes back."""

import pytest
from quart import Response
from werkzeug.datastructures import MultiDict

from gateway.guards.cookie import CookiePolicy, token_in
from gateway.state.ids import new_token

LAX = CookiePolicy("session", max_age=600)


def handed_out(policy: CookiePolicy, *, secure: bool, take_back: bool = False) -> tuple[str, str, set[str]]:
    """Name, value and attributes (without ``Expires``, which moves)."""
    response = Response("")
    token = None if take_back else new_token()
    policy.set(response, token, secure=secure)
    assert response.headers["Cache-Control"] == "no-store"
    first, *rest = response.headers["Set-Cookie"].split("; ")
    name, _, value = first.partition("=")
    assert value == (token or "")
    return name, value, {part for part in rest if not part.startswith("Expires")}


def test_over_tls_the_cookie_is_bound_to_this_host_alone() -> None:
    name, _, attributes = handed_out(LAX, secure=True)
    assert name == "__Host-session"
    assert attributes == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=600"}


def test_over_plain_http_it_works_in_a_browser() -> None:
    name, _, attributes = handed_out(LAX, secure=False)
    assert name == "session"
    assert attributes == {"HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=600"}


def test_for_a_frontend_on_another_site_it_can_be_partitioned() -> None:
    policy = CookiePolicy("session", max_age=600, samesite="None", partitioned=True)
    _, _, attributes = handed_out(policy, secure=True)
    assert attributes == {"Secure", "HttpOnly", "Path=/", "SameSite=None", "Max-Age=600", "Partitioned"}


def test_what_browsers_take_over_tls_only_is_not_asked_of_them_without() -> None:
    policy = CookiePolicy("session", max_age=600, samesite="None", partitioned=True)
    _, _, attributes = handed_out(policy, secure=False)
    assert attributes == {"HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=600"}


def test_a_streams_own_word_about_caches_stays() -> None:
    response = Response("", headers={"Cache-Control": "no-cache, no-store"})
    LAX.set(response, new_token(), secure=False)
    assert response.headers["Cache-Control"] == "no-cache, no-store"


def test_it_is_taken_back_with_the_attributes_it_was_given_with() -> None:
    name, value, attributes = handed_out(LAX, secure=True, take_back=True)
    assert (name, value) == ("__Host-session", "")
    assert attributes == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=0"}


def test_over_tls_a_cookie_that_plain_http_could_have_planted_is_not_read() -> None:
    planted = MultiDict([("session", "planted")])
    assert LAX.sent(planted, secure=True) is None
    assert LAX.sent(planted, secure=False) == "planted"
    assert LAX.sent(MultiDict([("__Host-session", "ours")]), secure=True) == "ours"


@pytest.mark.parametrize(
    ("setting", "scheme", "secure"),
    [
        ("auto", "https", True),
        ("auto", "http", False),
        ("auto", None, False),
        ("always", None, True),
        ("never", "https", False),
    ],
)
def test_secure_follows_the_setting(setting: str, scheme: str | None, secure: bool) -> None:
    policy = CookiePolicy("session", 600, setting)  # type: ignore[arg-type]
    assert policy.is_secure(scheme) is secure


@pytest.mark.parametrize("cookie", [None, "", "short", "x" * 42, "x" * 44, "x" * 100_000, "ü" * 43, "../" + "x" * 40])
def test_what_has_not_the_form_of_a_token_names_nothing(cookie: str | None) -> None:
    assert token_in(cookie) is None


def test_a_token_is_read_back() -> None:
    token = new_token()
    assert token_in(token) == token
