"""Who called, and over what, as far as the proxies in front can be believed.

Every proxy appends to ``X-Forwarded-For`` (and sets or appends ``X-Forwarded-Proto``) what it saw itself, so with N
trusted proxies the Nth value from the right is the outermost trusted one's word; all before it is hearsay.
"""

from dataclasses import dataclass

from werkzeug.datastructures import Headers

from gateway.guards.body import Scope


@dataclass(frozen=True, slots=True)
class Proxies:
    trusted: int

    def client(self, headers: Headers, peer: str) -> str:
        """The address of the client, or of the nearest party that is not trusted."""
        return self._said(headers, "X-Forwarded-For") or peer

    def client_of(self, scope: Scope) -> str:
        """The same of a request that is no more than its head."""
        peer: str = (scope.get("client") or ("",))[0]
        if not self.trusted:
            return peer
        headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]])
        return self.client(headers, peer)

    def scheme(self, headers: Headers) -> str | None:
        """``http`` or ``https`` as the browser used it; ``None`` when no trusted proxy says so."""
        scheme = self._said(headers, "X-Forwarded-Proto")
        return scheme.lower() if scheme and scheme.lower() in ("http", "https") else None

    def _said(self, headers: Headers, name: str) -> str | None:
        if not self.trusted:
            return None
        values = [value.strip() for line in headers.getlist(name) for value in line.split(",")]
        values = [value for value in values if value][-self.trusted :]
        return values[0] if values else None
