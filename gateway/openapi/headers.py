"""The headers of answers. What an answer carries is the sum of what its guards, its kind and its route add."""

from typing import Any

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "minimum": 1}


def _header(description: str, example: Any, *, always: bool = False, schema: Any = None) -> dict[str, Any]:
    """``always``: no answer that names the header comes without it."""
    required = {"required": True} if always else {}
    return {"description": description, **required, "schema": schema or _TEXT, "example": example}


HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": _header(
        "Names this request in the service's log",
        "5c1fb2c7a0d94e63",
        always=True,
        schema={"type": "string", "minLength": 8},
    ),
    "Cache-Control": _header("How long the answer may be kept, and by whom", "no-store", always=True),
    "X-Content-Type-Options": _header("The content is of the type that it is said to be", "nosniff", always=True),
    "Content-Security-Policy": _header(
        "What the answer may do as a page", "default-src 'none'; frame-ancestors 'none'", always=True
    ),
    "Referrer-Policy": _header("What pages tell of this address", "no-referrer", always=True),
    "Cross-Origin-Resource-Policy": _header("Whether pages of other origins may embed it", "same-origin", always=True),
    "Cross-Origin-Opener-Policy": _header("Windows of other origins are no relatives of this one", "same-origin"),
    "Permissions-Policy": _header("What the page will not ask for", "camera=(), geolocation=(), microphone=()"),
    "RateLimit-Policy": _header(
        "The rate that is nearest to its end: events and seconds (draft-ietf-httpapi-ratelimit-headers)",
        '"session";q=300;w=60',
    ),
    "RateLimit": _header("What is left of it, and seconds until it is whole again", '"session";r=298;t=1'),
    "Retry-After": _header("Seconds to wait before the next try", 5, always=True, schema=_NUMBER),
    "Set-Cookie": _header(
        "The session's cookie; over TLS its name begins with `__Host-`",
        "gateway_session=…; HttpOnly; Max-Age=604800; Path=/; SameSite=Lax",
    ),
    "X-Turn-Id": _header("The turn whose events these are", "0123456789abcdef01234567"),
    "X-Finish-Reason": _header("Gemini's word for why the answer ended", "STOP"),
    "X-Accel-Buffering": _header("Asks proxies to pass each event on at once", "no"),
    "ETag": _header(
        "Names the content; to be sent back as `If-None-Match`", '"9e107d9d372bb6826bd81d3542a419d6"', always=True
    ),
    "Vary": _header("What else in the request the answer depends on", "Cookie", always=True),
    "Location": _header("Where it is", "../ui", always=True),
}

OF_EVERY_ANSWER = (
    "X-Request-Id",
    "Cache-Control",
    "X-Content-Type-Options",
    "Content-Security-Policy",
    "Referrer-Policy",
    "Cross-Origin-Resource-Policy",
)
OF_GUARDED_ANSWERS = ("RateLimit-Policy", "RateLimit")
OF_A_PAGE = ("Cross-Origin-Opener-Policy", "Permissions-Policy")
