"""The gate: each request enters by it before its route, and each answer leaves by it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from quart import Quart, Response, current_app, g
from quart.globals import request_ctx

from gateway.guards.cookie import CookiePolicy, token_in
from gateway.guards.origin import AllowedOrigins, Approach, Caller, exposure_of, refused
from gateway.guards.proxies import Proxies
from gateway.problems import ForeignOrigin
from gateway.state.ids import SessionToken


@dataclass(slots=True)
class Visit:
    """One request as the guards know it."""

    caller: Caller
    client: str
    secure: bool
    cookie: bool
    """It carries a cookie of our name, whatever that is worth."""
    token: SessionToken | None
    handler: Callable[..., Any] | None
    """What answers it; None where nothing does, and for a preflight, which carries nothing and does nothing."""
    hand_out: bool = field(default=False)
    """The answer sets the cookie to ``token``, or takes it back when that is None."""


def visit() -> Visit:
    """The request being answered."""
    current: Visit = g.visit
    return current


class Gate:
    def __init__(self, allowed: AllowedOrigins, proxies: Proxies, cookie: CookiePolicy) -> None:
        self._allowed = allowed
        self._proxies = proxies
        self._cookie = cookie

    def attach(self, app: Quart) -> None:
        app.before_request(self.enter)
        app.after_request(self.leave)

    async def enter(self) -> None:
        """Raises ForeignOrigin for a call that another origin's page must not make."""
        asked = request_ctx.request
        headers = asked.headers
        scheme = self._proxies.scheme(headers)
        secure = self._cookie.is_secure(scheme)
        sent = self._cookie.sent(asked.cookies, secure=secure)
        approach = Approach(
            origin=headers.get("Origin"),
            site=headers.get("Sec-Fetch-Site"),
            host=headers.get("Host", ""),
            scheme=scheme,
        )
        preflight = asked.method == "OPTIONS"
        g.visit = here = Visit(
            caller=approach.caller(self._allowed),
            client=self._proxies.client(headers, asked.remote_addr or ""),
            secure=secure,
            cookie=sent is not None,
            token=token_in(sent),
            handler=None if preflight else current_app.view_functions.get(asked.endpoint or ""),
        )
        if refused(approach, exposure_of(here.handler), cookie=here.cookie, allowed=self._allowed):
            raise ForeignOrigin(_WITH_COOKIE if self._allowed.any else _NOT_NAMED)

    async def leave(self, response: Response) -> Response:
        """Hands out the session's cookie."""
        seen: Visit | None = g.get("visit")
        # A page of another origin that may not send the cookie is not given one either.
        if seen is not None and seen.hand_out and seen.caller is not Caller.FOREIGN:
            self._cookie.set(response, seen.token, secure=seen.secure)
        return response


_WITH_COOKIE = "Pages of other origins may call without cookies only; the operator can name this origin in CORS_ORIGIN."
_NOT_NAMED = "Pages of this origin may not call; the operator can name it in CORS_ORIGIN."
