"""Pictures on their way through a few processes, started when there is work and ended when there is none."""

import asyncio
import signal
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import structlog

from gateway.images.child import Child, ChildEnded, Nonsense, command_for
from gateway.images.frames import Refused
from gateway.images.limits import ImageLimits
from gateway.problems import Draining, Passing, Problem, TooLarge, Unsupported
from gateway.state.records import Image

_CHILDREN = 2
_WAITING = 32
"""Pictures that may wait for a process: some ten seconds of work."""
_PATIENCE_SECONDS = 30.0
_IDLE_SECONDS = 60.0

_FATAL = {-number for number in (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV)}
"""Ends that a decoder comes to by the bytes that it was given."""
_ENDLESS = -signal.SIGXCPU

log = structlog.get_logger(__name__)


class ImageDecoder:
    """Decodes between entering and leaving, which ends its processes.

    What one picture does to its process, dying, hanging or eating memory, is that picture's refusal; the next one gets
    a new process.
    """

    def __init__(
        self,
        limits: ImageLimits,
        *,
        command: Sequence[str] = (),
        waiting: int = _WAITING,
        patience: float = _PATIENCE_SECONDS,
        idle: float = _IDLE_SECONDS,
    ) -> None:
        """``waiting``: pictures that may wait; ``patience``: seconds from call to image at most; ``idle``: seconds
        without work until a process ends."""
        self._limits = limits
        self._command = command or command_for(limits)
        self._patience = patience
        self._idle_seconds = idle
        self._places = asyncio.Semaphore(_CHILDREN)
        self._room = _CHILDREN + waiting
        self._asked = 0
        self._left = False
        self._children: set[Child] = set()
        self._idle: dict[Child, asyncio.TimerHandle] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left = True
        for child in self._children:
            child.kill()
        await self._tasks.__aexit__(None, None, None)

    @property
    def pids(self) -> list[int]:
        """Of the processes that there are now."""
        return [child.pid for child in self._children]

    async def decode(self, content: deque[bytes | bytearray], name: str) -> Image:
        """The image to keep; the pieces of ``content`` are taken out.

        Raises Unsupported, TooLarge, each with a sentence about ``name``; Passing.
        """
        if self._left:
            raise Draining
        if self._asked >= self._room:
            raise _busy()
        self._asked += 1
        try:
            async with asyncio.timeout(self._patience), self._places:
                answer = await self._answer(content, name)
        except TimeoutError:
            raise _busy() from None
        except ChildEnded as end:
            raise _of_end(end.status, name) from None
        except (Nonsense, OSError) as error:
            log.warning("image_process_broken", error=type(error).__name__, reason=str(error)[:200])
            raise _failed() from None
        finally:
            self._asked -= 1
        if isinstance(answer, Refused):
            raise _of_refusal(answer)
        return answer

    async def _answer(self, content: deque[bytes | bytearray], name: str) -> Image | Refused:
        child = self._rested() or await self._started()
        try:
            answer = await child.ask(content, name, at_most=self._limits.stored_bytes)
        except BaseException:
            # It may be in the midst of anything. Its place is free once it is gone, and its memory with it.
            await child.end()
            self._forget(child)
            raise
        if child in self._children:
            self._idle[child] = asyncio.get_running_loop().call_later(self._idle_seconds, child.kill)
        return answer

    def _rested(self) -> Child | None:
        """The one that has worked last, so that the other may end."""
        if not self._idle:
            return None
        child, timer = self._idle.popitem()
        timer.cancel()
        return child

    async def _started(self) -> Child:
        child = await Child.start(self._command)
        if self._left:
            await child.end()
            raise Draining
        self._children.add(child)
        self._tasks.create_task(self._attend(child))
        return child

    async def _attend(self, child: Child) -> None:
        """Sees to it that one which ended is asked no more."""
        await child.ended()
        self._forget(child)

    def _forget(self, child: Child) -> None:
        self._children.discard(child)
        if (timer := self._idle.pop(child, None)) is not None:
            timer.cancel()


def _of_refusal(refused: Refused) -> Problem:
    if refused.reason:
        log.info("image_refused", reason=refused.reason)
    if refused.code == "too_large":
        return TooLarge(refused.message)
    return Unsupported(refused.code, refused.message)


def _of_end(status: int, name: str) -> Problem:
    """Of a process that died over a picture: by what that is, or by what is no fault of the picture."""
    log.warning("image_process_died", status=status)
    if status in _FATAL:
        return Unsupported("not_an_image", f"{name} is damaged.")
    if status == _ENDLESS:
        return TooLarge(f"{name} takes too long to be decoded.")
    return _failed()


def _busy() -> Problem:
    return Passing("busy", "Too many images at one time; try again in a moment.", 5)


def _failed() -> Problem:
    return Passing("unavailable", "The image could not be looked at; try again in a moment.", 2)
