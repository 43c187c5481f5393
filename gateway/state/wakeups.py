"""A worker's own channel: somebody changed a turn that it runs, and it should look at the record now."""

from collections.abc import AsyncIterator

from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.errors import unavailable_is_told
from gateway.state.ids import TurnRef, WorkerId

_POLL = 5.0
"""Seconds after which a silent connection is read again; bounds nothing that anybody waits for."""


class Wakeups:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def of(self, worker: WorkerId) -> AsyncIterator[TurnRef]:
        """Yields each turn that is named to this worker. Raises StateUnavailable when the connection breaks.

        What is published meanwhile is lost, and may be: every renewal asks the record too.
        """
        with unavailable_is_told():
            async with self._redis.pubsub() as channel:
                await channel.subscribe(keys.control(worker))
                while True:
                    message = await channel.get_message(timeout=_POLL)
                    if message is not None and message["type"] == "message":
                        yield TurnRef.parse(message["data"].decode())
