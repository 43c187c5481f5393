"""The gate: each request enters by it before its route, and each answer leaves by it."""

from dataclasses import dataclass, field

from quart import Quart, Response, current_app, g, request

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
        scheme = self._proxies.scheme(request.headers)
        secure = self._cookie.is_secure(scheme)
        sent = self._cookie.sent(request.cookies, secure=secure)
        approach = Approach(
            origin=request.headers.get("Origin"),
            site=request.headers.get("Sec-Fetch-Site"),
            host=request.headers.get("Host", ""),
            scheme=scheme,
        )
        g.visit = Visit(
            caller=approach.caller(self._allowed),
            client=self._proxies.client(request.headers, request.remote_addr or ""),
            secure=secure,
            cookie=sent is not None,
            token=token_in(sent),
        )
        if request.method == "OPTIONS":  # A preflight carries nothing and does nothing.
            return
        exposure = exposure_of(current_app.view_functions.get(request.endpoint or ""))
        if refused(approach, exposure, cookie=g.visit.cookie, allowed=self._allowed):
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
