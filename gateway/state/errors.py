"""What can go wrong at the contract, as one tree.

    StateError
    ├── StateUnavailable     Redis is away or too slow: try again soon
    ├── SessionGone          deleted, expired, or of another epoch meanwhile
    ├── NothingPending       no message and no image to answer
    ├── TurnRunning          the session's turn has not ended
    ├── RateSpent            the session has begun enough turns, or used enough tokens, for now
    ├── NotAdmitted
    │   ├── QueueFull        too many turns wait: try again soon
    │   └── NoWorker         no worker process lives: try again soon
    └── ImageQuotaExceeded   the session's images would outgrow their bounds

Each says by ``retryable`` whether the same call can succeed later without anything else changing.
"""

from contextlib import AbstractContextManager
from types import TracebackType

import redis.exceptions

from gateway.state.cancellation import cancellation_is_heeded
from gateway.state.ids import TurnId


class StateError(Exception):
    retryable = False


class StateUnavailable(StateError):
    retryable = True


class SessionGone(StateError):
    pass


class NothingPending(StateError):
    pass


class TurnRunning(StateError):
    def __init__(self, turn: TurnId) -> None:
        super().__init__(turn)
        self.turn = turn


class RateSpent(StateError):
    """``policy`` names the rate; ``wait`` is in seconds."""

    retryable = True

    def __init__(self, policy: str, wait: float) -> None:
        super().__init__(policy)
        self.policy = policy
        self.wait = wait


class NotAdmitted(StateError):
    retryable = True


class QueueFull(NotAdmitted):
    pass


class NoWorker(NotAdmitted):
    pass


class ImageQuotaExceeded(StateError):
    pass


def unavailable_is_told() -> AbstractContextManager[None]:
    """Turns every way in which Redis can be away, loading, full or slow into ``StateUnavailable``.

    A cancellation is a cancellation, also where redis-py swallowed it.
    """
    return _Telling()


class _Telling(AbstractContextManager[None]):
    """A class, as it is entered with every command: a generator's scope costs several times as much."""

    __slots__ = ("_heeded",)

    def __enter__(self) -> None:
        self._heeded = cancellation_is_heeded()
        self._heeded.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heeded.__exit__(kind, error, trace)
        if isinstance(error, redis.exceptions.RedisError | OSError | TimeoutError):
            raise StateUnavailable(type(error).__name__) from error
        # So says uvloop of a connection that was lost a moment ago.
        if isinstance(error, RuntimeError) and "the handler is closed" in str(error):
            raise StateUnavailable("ConnectionLost") from error
