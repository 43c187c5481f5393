"""A process that decodes: what its start costs the gateway, and how it ends without one."""

import asyncio
import mmap
import os
import resource
import select
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable

import msgspec
import pytest
import uvloop

from gateway.images.child import Child, command_for
from gateway.images.frames import Asked, Kept, head
from gateway.images.limits import ImageLimits
from gateway.state.records import Image

_HELD = 32 * 2**20
_DEAF = [sys.executable, "-c", "import sys; sys.stdin.buffer.read()"]


def _faults() -> int:
    """How often this process had to be given a page anew."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _touch(memory: mmap.mmap) -> None:
    for page in range(0, _HELD, mmap.PAGESIZE):
        memory[page] = 1


async def _faults_after_a_start(memory: mmap.mmap) -> int:
    _touch(memory)
    child = await Child.start(_DEAF)
    before = _faults()
    _touch(memory)
    after = _faults()
    await child.end()
    return after - before


def test_what_the_gateway_holds_is_not_copied_when_a_process_starts() -> None:
    memory = mmap.mmap(-1, _HELD, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)  # Of huge pages there would be too few to be counted.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        faults = runner.run(_faults_after_a_start(memory))
    assert faults < _HELD // mmap.PAGESIZE // 10


async def test_what_it_said_is_heard_also_where_its_end_is_noticed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[tuple[subprocess.Popen[bytes], Callable[[], None]]] = []
    monkeypatch.setattr("gateway.images.child.on_exit", lambda *end: ends.append(end))
    kept = {"id": "a" * 32, "mime_type": "image/png", "width": 1, "height": 1, "size": 3}
    answer = head(msgspec.convert(kept, Kept)) + b"png"
    code = f"import sys; sys.stdin.buffer.readline(); sys.stdout.buffer.write({answer!r})"
    child = await Child.start([sys.executable, "-c", code])
    asking = asyncio.ensure_future(child.ask(deque([b"x"]), "cat.png", at_most=3))
    await asyncio.sleep(0)
    [(process, see_end)] = ends
    see_end()
    image = await asking
    process.wait()
    assert isinstance(image, Image)
    assert image.content == b"png"


def test_it_ends_in_silence_when_the_gateway_is_gone_before_it_was_heard() -> None:
    limits = ImageLimits(pixels=1000, side=10, frames=1, stored_bytes=1000)
    environ = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ours, theirs = socket.socketpair()
    with subprocess.Popen(
        command_for(limits), stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.PIPE, env=environ
    ) as process:
        theirs.close()
        ours.sendall(head(Asked("cat.png", 1)) + b"x")
        select.select([ours], [], [], 30)
        ours.close()
        _, complaints = process.communicate(timeout=30)
    assert (complaints, process.returncode) == (b"", 0)
