"""How much something holds, found by asking as rarely as can be."""

from collections.abc import Awaitable, Callable

_EXACT = 1.1


async def most(holds: Callable[[int], Awaitable[bool]], guess: int, limit: int) -> int:
    """The largest number found to hold, within a tenth of one found not to; ``limit`` when that holds; 0 for none.

    Goes up or down from the guess by half, then bisects.
    """
    low, high = 0, limit + 1
    probe = min(guess, limit)
    while high > max(low + 1, int(low * _EXACT)):
        if await holds(probe):
            low = probe
        else:
            high = probe
        if high > limit:
            probe = min(limit, probe * 3 // 2 + 1)
        elif low == 0:
            probe = probe * 2 // 3
        else:
            probe = (low + high) // 2
        if probe in (0, low, high) or low == limit:
            break
    return low
