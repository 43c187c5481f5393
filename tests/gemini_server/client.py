"""A client of the control API, for tests whose stand-in is a process of its own."""

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from tests.gemini_server.calls import Call
from tests.gemini_server.control import CallsAnswer
from tests.gemini_server.script import Queued, Script


class GeminiControl:
    """Says and asks over HTTP what ``GeminiServer`` does in-process. Use as an async context manager."""

    def __init__(self, control_url: str) -> None:
        self._url = control_url
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def calls(self, *, bodies: bool = False) -> Sequence[Call]:
        return (await self._ask({"bodies": "1"} if bodies else {})).calls

    async def script(self, script: Script, *, match: str = "", model: str = "", times: int = 1) -> None:
        await self._tell("script", Queued(script=script, match=match, model=model, times=times))

    async def default(self, script: Script) -> None:
        await self._tell("default", script)

    async def release(self, call: int | None = None) -> None:
        await self._tell("release", {} if call is None else {"call": call})

    async def refuse(self) -> None:
        await self._tell("refuse", {})

    async def listen(self) -> None:
        await self._tell("listen", {})

    async def clear(self) -> None:
        await self._tell("clear", {})

    async def wait_for(self, holds: Callable[[Sequence[Call]], bool], timeout: float = 15.0) -> Sequence[Call]:
        """The calls, once ``holds`` of them; ``TimeoutError`` tells what they were instead."""
        until = time.monotonic() + timeout
        seen = await self._ask({})
        while not holds(seen.calls):
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"the stand-in saw {seen.calls}")
            seen = await self._ask({"since": str(seen.version), "timeout": str(left)})
        return seen.calls

    async def _ask(self, query: dict[str, str]) -> CallsAnswer:
        async with self._session.get(f"{self._url}/control/calls", params=query) as response:
            response.raise_for_status()
            return msgspec.json.decode(await response.read(), type=CallsAnswer)

    async def _tell(self, order: str, body: Any) -> None:
        async with self._session.post(f"{self._url}/control/{order}", data=msgspec.json.encode(body)) as response:
            if response.status != 200:
                raise ValueError(await response.text())
