"""One process that decodes pictures, as the gateway sees it."""

import asyncio
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from typing import Self

import msgspec

from gateway.images.exits import on_exit
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

    def __init__(
        self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._asked = False
        self._gone = asyncio.Event()
        on_exit(process, self._see_end)

    @classmethod
    async def start(cls, command: Sequence[str]) -> Self:
        """Raises OSError. It gets nothing of ours but one end of a pair of sockets and our log: no secret, no signal.

        The event loop's own way to start a process, uvloop's, forks: that stands still while the tables of all our
        memory are copied, and then makes each page of it cost once more. This one (``vfork``) takes half a millisecond.
        """
        environ = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        # It finds our modules where we found them.
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_PIECE)
            try:
                process = subprocess.Popen(  # noqa: ASYNC220 - see above
                    command, stdin=theirs.fileno(), stdout=theirs.fileno(), env=environ, start_new_session=True
                )
            except OSError:
                writer.close()
                raise
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, content: deque[bytes | bytearray], name: str, *, at_most: int) -> Image | Refused:
        """Its answer, whose image has ``at_most`` so many bytes. Raises ChildEnded, Nonsense."""
        self._asked = True
        try:
            await self._send(content, name)
            return await self._answer(at_most)
        except (ConnectionError, asyncio.IncompleteReadError):
            raise ChildEnded(await self.ended()) from None
        except (ValueError, msgspec.MsgspecError, asyncio.LimitOverrunError) as error:
            raise Nonsense(str(error)) from None
        finally:
            self._asked = False
            self._let_go()

    def kill(self) -> None:
        self._process.kill()

    async def ended(self) -> int:
        """Its exit status once it is gone, however it went; negative for a signal."""
        await self._gone.wait()
        return self._process.returncode

    async def end(self) -> None:
        """Ends it, whatever it does, and waits for that."""
        self.kill()
        await self.ended()

    def _see_end(self) -> None:
        self._gone.set()
        self._let_go()

    def _let_go(self) -> None:
        """Of our end, once it is gone and what it still said has been heard."""
        if self._gone.is_set() and not self._asked:
            self._writer.close()

    async def _send(self, content: deque[bytes | bytearray], name: str) -> None:
        self._writer.write(head(Asked(name, sum(map(len, content)))))
        while content:
            self._writer.write(content.popleft())
            await asyncio.sleep(0)
            await self._writer.drain()

    async def _answer(self, at_most: int) -> Image | Refused:
        answer = msgspec.json.decode(await self._reader.readuntil(b"\n"), type=Kept | Refused)
        if isinstance(answer, Refused):
            return answer
        if answer.size > at_most:
            raise ValueError(f"an image of {answer.size} bytes")
        ref = ImageRef(ImageId(answer.id), answer.mime_type, answer.width, answer.height, answer.size)
        stored = bytearray(ref.stored_head)  # Grows piece by piece: even to clear megabytes takes long.
        while missing := len(ref.stored_head) + ref.size - len(stored):
            stored += await self._reader.readexactly(min(missing, _PIECE))
        return Image(ref, memoryview(stored).toreadonly())
