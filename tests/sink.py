"""A sink that remembers what a model put into it."""

from collections.abc import Awaitable, Callable

from gateway.state.records import Usage

Piece = tuple[str, Usage | None]


async def _at_once() -> None:
    """There is room."""


class Heard:
    """Implements ``workers.model.Sink``. Whether it is full, and how it gets room, is the test's to say."""

    def __init__(self, on_put: Callable[[str], None] | None = None) -> None:
        self.pieces: list[Piece] = []
        self.full = False
        self.make_room: Callable[[], Awaitable[None]] = _at_once
        self._on_put = on_put

    def put(self, text: str, usage: Usage | None) -> None:
        self.pieces.append((text, usage))
        if self._on_put is not None:
            self._on_put(text)

    async def room(self) -> None:
        await self.make_room()

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)
