import asyncio
import socket

import pytest
import uvloop

from gateway.state.errors import StateUnavailable, unavailable_is_told


def test_a_connection_that_uvloop_has_closed_meanwhile_is_told_as_unavailable() -> None:
    async def write_after_the_end() -> None:
        here, there = socket.socketpair()
        with there:
            _, writer = await asyncio.open_connection(sock=here)
            writer.transport.abort()
            await writer.wait_closed()
            with pytest.raises(StateUnavailable), unavailable_is_told():
                writer.writelines([b"PING"])

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(write_after_the_end())


def test_a_programming_error_stays_one() -> None:
    async def err() -> None:
        with unavailable_is_told():
            raise RuntimeError("a mistake")

    with pytest.raises(RuntimeError, match="a mistake"):
        asyncio.run(err())
