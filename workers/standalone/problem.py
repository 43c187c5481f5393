"""Why everything on one machine cannot be started, or has ended."""


class Problem(Exception):
    """One line for the person at the terminal."""

    def __init__(self, line: str, *, status: int = 1) -> None:
        super().__init__(line)
        self.status = status
        """What the process exits with."""
