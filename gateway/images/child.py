"""One process that decodes pictures, as the gateway sees it."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Self, cast

import msgspec

from gateway.images.frames import Asked, Kept, Refused, head
from gateway.images.limits import ImageLimits
from gateway.state.ids import ImageId
from gateway.state.records import Image, ImageRef

_PIECE = 64 * 1024
"""Bytes read in one go, with others' turns in between."""
_PASSED_ON = ("LD_LIBRARY_PATH", "PYTHONHOME")
"""What it may take to run this very interpreter."""


class ChildEnded(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status
        """The exit status; negative for a signal that ended it."""


class Nonsense(Exception):
    """What came was no answer."""


def command_for(limits: ImageLimits) -> list[str]:
    return [sys.executable, "-P", "-m", "gateway.images", msgspec.json.encode(limits).decode()]


class Child:
    """It is asked for one picture at a time. Whoever leaves ``ask`` halfway has to ``end`` it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._stdin = cast("asyncio.StreamWriter", process.stdin)
        self._stdout = cast("asyncio.StreamReader", process.stdout)

    @classmethod
    async def start(cls, command: Sequence[str]) -> Self:
        """Raises OSError. It gets nothing of ours but two pipes and our log: no socket, no secret, no signal."""
        environ = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        # It finds our modules where we found them.
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, limit=_PIECE, env=environ, start_new_session=True
        )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, content: deque[bytearray], name: str, *, at_most: int) -> Image | Refused:
        """Its answer, whose image has ``at_most`` so many bytes. Raises ChildEnded, Nonsense."""
        try:
            await self._send(content, name)
            return await self._answer(at_most)
        except (ConnectionError, asyncio.IncompleteReadError):
            raise ChildEnded(await self._process.wait()) from None
        except (ValueError, msgspec.MsgspecError, asyncio.LimitOverrunError) as error:
            raise Nonsense(str(error)) from None

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    async def ended(self) -> None:
        """Returns once it is gone, however it went."""
        await self._process.wait()
        self._stdin.close()

    async def end(self) -> None:
        """Ends it, whatever it does, and waits for that."""
        self.kill()
        # What it had still to say would keep its pipe open.
        await self._stdout.read()
        await self.ended()

    async def _send(self, content: deque[bytearray], name: str) -> None:
        self._stdin.write(head(Asked(name, sum(map(len, content)))))
        while content:
            self._stdin.write(content.popleft())
            await asyncio.sleep(0)
            await self._stdin.drain()

    async def _answer(self, at_most: int) -> Image | Refused:
        answer = msgspec.json.decode(await self._stdout.readuntil(b"\n"), type=Kept | Refused)
        if isinstance(answer, Refused):
            return answer
        if answer.size > at_most:
            raise ValueError(f"an image of {answer.size} bytes")
        ref = ImageRef(ImageId(answer.id), answer.mime_type, answer.width, answer.height, answer.size)
        stored = bytearray(ref.stored_head)  # Grows piece by piece: even to clear megabytes takes long.
        while missing := len(ref.stored_head) + ref.size - len(stored):
            stored += await self._stdout.readexactly(min(missing, _PIECE))
        return Image(ref, memoryview(stored).toreadonly())
