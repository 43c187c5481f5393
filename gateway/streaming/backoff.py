"""How long to wait after repeated failure."""

import random

FIRST = 0.05
MOST = 1.0


def delay(failures: int) -> float:
    """Seconds: none at first, then doubling up to ``MOST``; shortened at random, lest replicas march in step."""
    if failures <= 0:
        return 0.0
    longest = min(MOST, FIRST * 2.0 ** min(failures - 1, 10))
    return random.uniform(longest / 2, longest)
