"""Whose pages may call: cross-site request forgery and CORS in one place.

A browser names the page that calls in ``Origin`` (Fetch standard, "append a request Origin header"), and where it
leaves that out, its relation to us in ``Sec-Fetch-Site`` (Fetch Metadata). A page can forge neither. Without both, the
caller is no browser and carries nobody's cookies but its own.

========================  ===========================  =================================
caller                    CORS_ORIGIN names origins    CORS_ORIGIN is ``*``
========================  ===========================  =================================
no browser, own page      in                           in
a named origin            in, with cookies             (none)
another page (``null``)   refused                      in without our cookie, else refused
========================  ===========================  =================================

Routes that hold nothing of anybody (``open_to_all``) are exempt, and so are those that pages embed
(``embeddable``) unless they are called with an ``Origin``.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Self, TypeVar

Handler = TypeVar("Handler", bound=Callable[..., Any])

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?/?")


class Caller(Enum):
    """Where a request comes from, as the browser tells."""

    PROGRAM = "program"
    OWN = "own"
    NAMED = "named"
    FOREIGN = "foreign"


class Exposure(Enum):
    """How far a route minds who calls it."""

    GUARDED = "guarded"
    EMBEDDABLE = "embeddable"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class AllowedOrigins:
    """The origins of CORS_ORIGIN, serialised as browsers do; ``named`` is empty when any origin may call."""

    named: frozenset[str]

    @property
    def any(self) -> bool:
        return not self.named

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ``ValueError`` with a sentence for what is neither ``*`` nor a list of origins."""
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if parts in ([], ["*"]):
            return cls(frozenset())
        return cls(frozenset(_origin(part) for part in parts))


@lru_cache(maxsize=256)
def _origin(text: str) -> str:
    """RFC 6454 section 6.2: scheme and host in lower case, no default port. Raises ``ValueError``."""
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        raise ValueError(f"expected an origin like https://example.com, got {text!r}")
    scheme, host, port = match.groups()
    return f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS[scheme]) else f"{scheme}://{host}:{port}"


@dataclass(frozen=True, slots=True)
class Approach:
    """What a request says of where it comes from. ``scheme`` is the one it came over, if anybody knows."""

    origin: str | None
    site: str | None
    host: str
    scheme: str | None

    def caller(self, allowed: AllowedOrigins) -> Caller:
        if self.origin is not None:
            if self.origin in allowed.named:
                return Caller.NAMED
            return Caller.OWN if self._is_own(self.origin) else Caller.FOREIGN
        if self.site is None:
            return Caller.PROGRAM
        return Caller.OWN if self.site in ("same-origin", "none") else Caller.FOREIGN

    def _is_own(self, origin: str) -> bool:
        schemes = (self.scheme,) if self.scheme else tuple(_DEFAULT_PORTS)
        try:
            return _origin(origin) in {_origin(f"{scheme}://{self.host}") for scheme in schemes}
        except ValueError:
            return False


def refused(approach: Approach, exposure: Exposure, *, cookie: bool, allowed: AllowedOrigins) -> bool:
    """Whether a call must be turned away; ``cookie`` says that it carries our cookie."""
    if exposure is Exposure.OPEN or approach.caller(allowed) is not Caller.FOREIGN:
        return False
    if exposure is Exposure.EMBEDDABLE and approach.origin is None:
        return False
    return cookie or not allowed.any


def open_to_all(handler: Handler) -> Handler:
    """Marks a route that holds nothing of anybody: any page may call or link to it."""
    handler.__dict__["exposure"] = Exposure.OPEN
    return handler


def embeddable(handler: Handler) -> Handler:
    """Marks a route whose answers pages show, as in ``<img>``, which tells no ``Origin``."""
    handler.__dict__["exposure"] = Exposure.EMBEDDABLE
    return handler


def exposure_of(handler: Callable[..., Any] | None) -> Exposure:
    """Guarded unless the route says otherwise; what is no route at all holds nothing."""
    if handler is None:
        return Exposure.OPEN
    exposure: Exposure = getattr(handler, "exposure", Exposure.GUARDED)
    return exposure
