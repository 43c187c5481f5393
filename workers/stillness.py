"""For how long things have been seen unchanged."""

from collections.abc import Collection, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Stillness(Generic[K]):
    """Moments are of whatever clock the caller has."""

    def __init__(self) -> None:
        self._seen: dict[K, tuple[object, float]] = {}

    def see(self, thing: K, mark: object, now: float) -> None:
        """It looks like this now. What was never seen before, or different, is still from now on."""
        before = self._seen.get(thing)
        if before is None or before[0] != mark:
            self._seen[thing] = (mark, now)

    def seconds(self, thing: K, now: float) -> float:
        """0.0 for what is not watched."""
        seen = self._seen.get(thing)
        return 0.0 if seen is None else now - seen[1]

    def marks(self) -> Iterator[tuple[K, object]]:
        """What each was seen like last."""
        return ((thing, mark) for thing, (mark, _) in self._seen.items())

    def keep(self, things: Collection[K]) -> None:
        """Watches no others any more."""
        self._seen = {thing: seen for thing, seen in self._seen.items() if thing in things}

    def clear(self) -> None:
        self._seen.clear()
