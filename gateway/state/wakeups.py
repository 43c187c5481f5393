"""A worker's own channel: somebody changed a turn that it runs, and it should look at the record now."""

import asyncio
from collections.abc import AsyncIterator

from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.errors import StateUnavailable, unavailable_is_told
from gateway.state.ids import TurnRef, WorkerId


class Wakeups:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def of(self, worker: WorkerId, *, patience: float) -> AsyncIterator[TurnRef | None]:
        """Yields each turn that is named to this worker, and None where words before may have been missed.

        The worker's beats are heard here, too: silence for ``patience`` seconds is a subscription gone deaf. Raises
        StateUnavailable then, and when the connection breaks.
        """
        clock = asyncio.get_running_loop().time
        with unavailable_is_told():
            async with self._redis.pubsub() as channel:
                await channel.subscribe(keys.control(worker))
                deaf_at = clock() + patience
                while True:
                    message = await channel.get_message(timeout=max(0.0, deaf_at - clock()))
                    if message is not None:
                        deaf_at = clock() + patience
                    elif clock() >= deaf_at:
                        raise StateUnavailable("the subscription is silent")
                    if message and message["type"] == "subscribe":
                        yield None
                    elif message and message["data"]:
                        yield TurnRef.parse(message["data"].decode())
