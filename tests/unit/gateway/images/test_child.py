"""What starting a process that decodes costs the gateway that starts it."""

import asyncio
import mmap
import resource
import sys

import uvloop

from gateway.images.child import Child

_HELD = 32 * 2**20
_DEAF = [sys.executable, "-c", "import sys; sys.stdin.buffer.read()"]


def _faults() -> int:
    """How often this process had to be given a page anew."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _touch(memory: bytearray) -> None:
    memory[:: mmap.PAGESIZE] = bytes(_HELD // mmap.PAGESIZE)


async def _faults_after_a_start(memory: bytearray) -> int:
    _touch(memory)
    child = await Child.start(_DEAF)
    before = _faults()
    _touch(memory)
    after = _faults()
    await child.end()
    return after - before


def test_what_the_gateway_holds_is_not_copied_when_a_process_starts() -> None:
    memory = bytearray(_HELD)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        faults = runner.run(_faults_after_a_start(memory))
    assert faults < _HELD // mmap.PAGESIZE // 10
