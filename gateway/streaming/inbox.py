"""What was published for one reader and not yet taken: bounded, as readers may be slow."""

from gateway.streaming.delivery import Delivery

ENTRIES = 64
BYTES = 64 * 1024
"""What is held at most. Beyond it the reader goes back to the log, which has it all, at its own pace."""


class Inbox:
    """Holds deliveries, or nothing while ``behind``: then the log is going to be read."""

    __slots__ = ("_size", "behind", "held")

    def __init__(self) -> None:
        self.behind = True
        """Something that was published is not here."""
        self.held: list[Delivery] = []
        self._size = 0

    def put(self, delivery: Delivery) -> bool:
        """False if that was one too many."""
        if self.behind:
            return True
        self._size += len(delivery.entry.data)
        if len(self.held) >= ENTRIES or self._size > BYTES:
            self.fall_behind()
            return False
        self.held.append(delivery)
        return True

    def take(self) -> list[Delivery]:
        held, self.held, self._size = self.held, [], 0
        return held

    def fall_behind(self) -> None:
        self.behind = True
        self.take()
