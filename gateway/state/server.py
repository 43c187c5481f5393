"""The server as it describes itself, for those who check how it is set up. Nothing of a turn's life needs this."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, ResponseError

from gateway.state.errors import unavailable_is_told

_LOOKS = 5


class Server:
    def __init__(self, redis: Redis, *, clock: Callable[[], float] = time.time) -> None:
        """``clock``: this machine's, in seconds of Unix time."""
        self._redis = redis
        self._clock = clock

    async def ping(self) -> None:
        """Raises StateUnavailable, which names the kind of trouble."""
        with unavailable_is_told():
            await self._redis.ping()

    async def ahead(self) -> float:
        """Seconds by which the server's clock is ahead of this machine's; as exact as the quickest of a few answers."""
        looks = []
        for _ in range(_LOOKS):
            asked = self._clock()
            with unavailable_is_told():
                seconds, micros = await self._redis.time()
            answered = self._clock()
            looks.append((answered - asked, seconds + micros / 1_000_000 - (asked + answered) / 2))
        return min(looks)[1]

    async def info(self) -> Mapping[str, Any] | None:
        """``INFO``; None where the server does not let us ask, as managed ones may. Raises StateUnavailable."""
        return await self._ask(self._redis.info)

    async def config(self, *names: str) -> Mapping[str, str] | None:
        """``CONFIG GET``; None where the server does not let us ask. Raises StateUnavailable."""
        return await self._ask(lambda: self._redis.config_get(*names))

    async def _ask(self, command: Callable[[], Any]) -> Mapping[str, Any] | None:
        with unavailable_is_told():
            try:
                answer: Mapping[str, Any] = await command()
            except AuthenticationError:
                raise
            except ResponseError:  # no permission, or a command that is renamed or unknown there
                return None
        return answer
