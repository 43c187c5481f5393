"""The signals that end everything on one machine: the first asks, a further one hurries."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ending:
    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()

    def ask(self) -> None:
        if self.asked.is_set():
            self.hurried.set()
        self.asked.set()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Ctrl-C, SIGTERM and a closed terminal ask, for as long as the scope lasts. What is ignored stays ignored."""
        loop = asyncio.get_running_loop()
        heard = [each for each in _ENDING if signal.getsignal(each) is not signal.SIG_IGN or each == signal.SIGTERM]
        for each in heard:
            loop.add_signal_handler(each, self.ask)
        try:
            yield
        finally:
            for each in heard:
                loop.remove_signal_handler(each)
