"""Counts the commands that clients send to Redis, by who sends them.

``INFO`` counts the calls that scripts make as well, so the server is asked to say each command (``MONITOR``), which
tells a script's calls from a client's. That costs the server, so nothing else is measured meanwhile.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_LINE = re.compile(rb'^\+\d+\.\d+ \[\d+ (?:lua|\S*:(\d+))\] "([^"]+)"')


class Commands:
    """Counts by the port of the client's end."""

    def __init__(self) -> None:
        self.by_port: Counter[int] = Counter()

    def heard(self, line: bytes) -> None:
        match = _LINE.match(line)
        if match is not None and match[1] is not None:
            self.by_port[int(match[1])] += 1

    def take(self) -> Counter[int]:
        """What was counted since the last call."""
        counted, self.by_port = self.by_port, Counter()
        return counted


@asynccontextmanager
async def monitored(port: int) -> AsyncIterator[Commands]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    commands = Commands()

    async def hear() -> None:
        while line := await reader.readline():
            commands.heard(line)

    try:
        writer.write(b"MONITOR\r\n")
        await reader.readline()
        async with asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(hear())
            yield commands
            hearing.cancel()
    finally:
        writer.close()
