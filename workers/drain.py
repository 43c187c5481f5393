"""How a worker is asked to leave: the first signal drains, the second hurries."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Drain:
    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.hurried = asyncio.Event()

    def ask(self) -> None:
        (self.hurried if self.begun.is_set() else self.begun).set()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT ask, for as long as the scope lasts."""
        loop = asyncio.get_running_loop()
        for name in _SIGNALS:
            loop.add_signal_handler(name, self.ask)
        try:
            yield
        finally:
            for name in _SIGNALS:
                loop.remove_signal_handler(name)

    async def grace(self, seconds: float, finished: asyncio.Event) -> None:
        """Returns when ``finished``, when the grace time is over, or when somebody hurries."""
        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                waits = {group.create_task(event.wait()) for event in (finished, self.hurried)}
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()
        except TimeoutError:
            pass
