"""The session cookie: its name, its attributes, and what a request's cookie header is worth.

Over TLS its name begins with ``__Host-``, which browsers accept only with Secure, ``Path=/`` and no Domain (RFC 6265bis
section 4.1.3): neither a sibling host nor a plain-HTTP answer can plant one, so no other name is read there.
"""

from dataclasses import dataclass
from typing import Literal

from quart import Response
from werkzeug.datastructures import MultiDict

from gateway.state.ids import SessionToken, parse_token


@dataclass(frozen=True, slots=True)
class CookiePolicy:
    name: str
    max_age: int
    secure: Literal["auto", "always", "never"] = "auto"
    samesite: Literal["Lax", "Strict", "None"] = "Lax"
    partitioned: bool = False

    def is_secure(self, scheme: str | None) -> bool:
        """``scheme`` is the one that the browser used, if anybody knows."""
        return self.secure == "always" or (self.secure == "auto" and scheme == "https")

    def name_for(self, *, secure: bool) -> str:
        return f"__Host-{self.name}" if secure else self.name

    def sent(self, cookies: MultiDict[str, str], *, secure: bool) -> str | None:
        """What came under our name, whatever it is worth."""
        return cookies.get(self.name_for(secure=secure))

    def set(self, response: Response, token: SessionToken | None, *, secure: bool) -> None:
        """Hands out ``token``, or with None takes the cookie back. The answer must not be stored by anybody."""
        response.set_cookie(
            self.name_for(secure=secure),
            token or "",
            max_age=self.max_age if token else 0,
            path="/",
            secure=secure,
            httponly=True,
            # Browsers drop a SameSite=None or Partitioned cookie that is not Secure.
            samesite=self.samesite if secure or self.samesite != "None" else "Lax",
            partitioned=secure and self.partitioned,
        )
        if "no-store" not in response.headers.get("Cache-Control", ""):
            response.headers["Cache-Control"] = "no-store"


def token_in(cookie: str | None) -> SessionToken | None:
    return parse_token(cookie) if cookie is not None else None
