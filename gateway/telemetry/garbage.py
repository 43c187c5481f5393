"""Python's garbage collector, for a process that serves streams."""

import gc

_THRESHOLDS = (2_000, 3, 6_000)
"""A collection walks 2,000 new objects, at two or three million a second; every fifth one also what the four before it
left, 10,000 in all at the most: four milliseconds. Only all 60 million of them it walks everything.
"""


def postpone() -> None:
    """To be called first thing in a process: importing makes a hundred thousand objects, of which some thousand are
    garbage, and looking for them again and again is a fifth of a start.
    """
    gc.disable()


def settle() -> None:
    """To be called once, when all that lives as long as the process has been made; collections begin.

    What exists by then is left out of them all, and they come less often: a full one walks every object, and with
    thousands of open streams that stops them all for tens of milliseconds.
    """
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    gc.enable()
