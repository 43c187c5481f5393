"""``python -m workers``: one worker process."""

import sys
from collections.abc import Sequence

from gateway.telemetry import garbage


def command(words: Sequence[str]) -> int:
    """Works; with a word it looks, or moves a turn, and ends."""
    # Both are imported here: nothing of the other is needed, and importing is most of a start.
    if not words:
        garbage.postpone()
        from workers.process import main  # noqa: PLC0415

        return main()
    from workers import commands  # noqa: PLC0415

    return commands.run(words)


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
