"""What our server offers to our app beyond ASGI, by its name in a scope's ``extensions``."""

from typing import Protocol

MAILBOX = "gateway.mailbox"
"""The ``gateway.mailbox.Mailbox`` in which the request arrives."""

PIPE = "gateway.pipe"
"""A ``Pipe``, there from an answer's head on if the length of its body is not known."""


class Pipe(Protocol):
    """Takes a body's pieces, but for the last.

    They are most of what is sent; who stands in the way of ASGI's messages has to do with the first and the last alone.
    """

    async def write(self, piece: bytes) -> None:
        """Returns when the caller can take more."""

    def write_now(self, piece: bytes) -> bool:
        """Writes if the caller can take it at once; False, and nothing done, if somebody has to wait for that."""
