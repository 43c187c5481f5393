"""One turn's channel in this process: its followers, and whether what is published on it is heard."""

import structlog

from gateway.state.ids import TurnRef
from gateway.state.records import Entry
from gateway.streaming.delivery import Delivery
from gateway.streaming.follower import Follower
from gateway.streaming.inbox import ENTRIES

log = structlog.get_logger(__name__)


class Channel:
    __slots__ = ("asked", "early", "followers", "live", "lost", "name", "ref")

    def __init__(self, ref: TurnRef, name: str) -> None:
        self.ref = ref
        self.name = name
        self.followers: set[Follower] = set()
        self.asked = False
        """The present connection was asked to subscribe."""
        self.live = False
        """The present connection has confirmed it."""
        self.lost = False
        """An earlier connection had it."""
        self.early: list[Delivery] | None = None
        """What was published of a turn that is expected, for its first follower; None where nothing is kept."""

    @property
    def wanted(self) -> bool:
        return bool(self.followers) or self.early is not None

    def join(self, follower: Follower) -> None:
        self.followers.add(follower)
        early, self.early = self.early, None
        if early is not None:
            follower.trust(early)

    def deliver(self, message: bytes) -> None:
        try:
            delivery = Delivery(Entry.from_message(message))
        except ValueError as error:
            # No entry, or one of a version to come. Were it an entry, the next one would show the gap.
            log.warning("message_not_understood", turn=self.ref.turn, reason=str(error)[:200])
            return
        if self.early is not None:
            self.early.append(delivery)
            if len(self.early) > ENTRIES:
                self.early = None
        for follower in self.followers:
            follower.offer(delivery)

    def confirm(self) -> None:
        """What was published before may have been missed; who trusts to have missed nothing finds out by itself."""
        self.live = True
        for follower in self.followers:
            if self.lost or not follower.trusting:
                follower.resync()

    def lose(self) -> None:
        """The connection is gone. Followers wait."""
        self.lost = self.lost or self.live
        self.asked = self.live = False
        self.early = None
