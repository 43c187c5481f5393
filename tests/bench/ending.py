"""A run that is told to end leaves nothing behind: SIGTERM unwinds it, as Ctrl-C does."""

import signal
from types import FrameType


def unwind_on_sigterm() -> None:
    """For composition roots, before their event loop runs."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, interrupt)
