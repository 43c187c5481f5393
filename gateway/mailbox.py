"""What has arrived of a request, on its way to the app. An asyncio queue would be the most of what a stream keeps."""

import asyncio
from collections.abc import Callable
from typing import Any


class Mailbox:
    """A bounded queue of ASGI messages."""

    __slots__ = ("_call", "_held", "_room", "_waiting", "_whole")

    def __init__(self, room: int) -> None:
        self._room = room
        self._held: list[Any] = []
        self._waiting: list[asyncio.Future[None]] = []
        """For a message while there is none, else for room."""
        self._whole = False
        self._call: Callable[[], None] | None = None

    @property
    def whole(self) -> bool:
        """All of the request has arrived: whoever takes it need not wait."""
        return self._whole

    def on_disconnect(self, call: Callable[[], None]) -> bool:
        """Has ``call`` called when the caller goes. False as long as there may be a body: somebody has to take it."""
        if self._whole and not self._held:
            self._call = call
        return self._call is not None

    async def put(self, message: Any) -> None:
        while len(self._held) >= self._room:
            await self._change()
        self._held.append(message)
        self._wake()
        self._whole = self._whole or not message.get("more_body", True)
        if self._call is not None:
            self._call()

    async def get(self) -> Any:
        while not self._held:
            await self._change()
        message = self._held.pop(0)
        self._wake()
        return message

    def _change(self) -> asyncio.Future[None]:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        return waiter

    def _wake(self) -> None:
        """All who wait look again."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()
