"""What is counted of streams: plain numbers, as they change with every chunk. ``gateway.metrics`` tells them on."""

from collections.abc import Callable

UNSENT = "start"
"""The kind of entry that readers have no use for."""

KINDS = (UNSENT, "text", "reset", "done", "stopped", "failed", "expired")
FALLBACKS = ("gap", "slow", "resubscribed")
DROPS = ("drain",)


def _untold(_seconds: float) -> None:
    """Where nobody wants to know."""


class StreamMeter:
    """For one event loop. Whoever has something to count adds to an attribute."""

    __slots__ = ("dropped", "events", "fallbacks", "first_text", "open", "reconnects", "resumes", "sent_bytes")

    def __init__(self, first_text: Callable[[float], None] = _untold) -> None:
        """``first_text`` is told how many seconds a stream's reader waited for its first text."""
        self.open = 0
        self.resumes = 0
        self.sent_bytes = 0
        self.reconnects = 0
        self.events = dict.fromkeys(KINDS, 0)
        self.fallbacks = dict.fromkeys(FALLBACKS, 0)
        self.dropped = dict.fromkeys(DROPS, 0)
        self.first_text = first_text
