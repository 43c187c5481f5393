"""What the head of every answer says beyond what its route said: that nothing may be stored, sniffed or framed.

Written straight into the head as it goes to the server: it is the same for nearly every answer.
"""

from gateway.guards.origin import AllowedOrigins

Field = tuple[bytes, bytes]

_DEFAULTS: tuple[Field, ...] = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


class Heading:
    def __init__(self, allowed: AllowedOrigins) -> None:
        embedding = b"same-origin" if allowed.any else b"cross-origin"
        self._defaults = (*_DEFAULTS, (b"cross-origin-resource-policy", embedding))

    def complete(self, fields: list[Field]) -> None:
        """Adds to an answer's fields. Names are in lower case."""
        said = {name for name, _ in fields}
        fields += [field for field in self._defaults if field[0] not in said]
