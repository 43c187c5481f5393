"""An entry on its way from the relay to followers."""

from gateway.state.ids import TurnId
from gateway.state.records import Entry
from gateway.streaming import sse


class Delivery:
    """Encoded at most once, however many follow."""

    __slots__ = ("_event", "entry")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self._event: bytes | None = None

    def event(self, turn: TurnId) -> bytes:
        if self._event is None:
            self._event = sse.encode(turn, self.entry)
        return self._event
