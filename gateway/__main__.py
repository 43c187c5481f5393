"""``python -m gateway``: one replica."""

import os
import sys
from collections.abc import Sequence

from gateway.telemetry import garbage

_BAD_COMMAND = 2


def command(words: Sequence[str]) -> int:
    """Serves; with the word ``check`` it looks at what there is, says what to mend, and ends."""
    # Both are imported here: nothing of the other is needed, and importing is most of a start.
    if not words:
        garbage.postpone()
        from gateway.process import main  # noqa: PLC0415

        return main()
    if list(words) == ["check"]:
        from gateway.check.command import check  # noqa: PLC0415

        return check(os.environ, sys.stdout)
    sys.stderr.write(
        "python -m gateway serves; python -m gateway check says what to mend. There is no other command.\n"
    )
    return _BAD_COMMAND


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
