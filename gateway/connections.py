"""Hypercorn's connections, each let go as soon as its caller has gone.

Hypercorn 0.18 waits for ``keep_alive_timeout`` even where the caller has closed the connection long since: a file and
some memory for each of them meanwhile, which callers who come and go could make as many as they like.
"""

from hypercorn.asyncio import run
from hypercorn.asyncio.tcp_server import TCPServer


class Connection(TCPServer):
    async def _read_data(self) -> None:
        """Returns when there is nothing more to read; what is being answered goes on, but nobody waits for more."""
        await super()._read_data()
        await self.idle_task.stop()


def install() -> None:
    """Has Hypercorn serve with these. It offers no place for that, so its own name for them is replaced."""
    run.TCPServer = Connection  # type: ignore[attr-defined]
