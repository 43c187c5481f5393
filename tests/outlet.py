"""A response's body as its writer sees it, in a test's hands."""


class Written:
    """Implements ``gateway.streaming.stream.Outlet`` and ``gateway.extensions.Pipe``: keeps the pieces."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.at_once = True
        """Whether the reader can take more without being waited for; the test's to say."""
        self.pushed = 0
        """Pieces that nobody had to wait for."""

    async def write(self, piece: bytes, /, *, last: bool = False) -> None:
        self.pieces.append(piece)

    def write_now(self, piece: bytes, /) -> bool:
        if self.at_once:
            self.pieces.append(piece)
            self.pushed += 1
        return self.at_once

    @property
    def whole(self) -> bytes:
        return b"".join(self.pieces)
