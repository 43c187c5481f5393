"""``python -m tests.bench.feeder REDIS_URL``: a stand-in worker, so cheap that one gateway can be driven to its limit.

It claims turns as a worker does and writes each chunk by the contract's own script, at the pace of the turn's
directive, but over a bare connection, without waiting for replies, and without any Gemini. It must be the only worker.
"""

import asyncio
import sys
from contextlib import suppress
from typing import cast

import uvloop
from redis.asyncio import Redis

from gateway.state.connect import connect
from gateway.state.errors import StateUnavailable
from gateway.state.ids import Position, TurnRef, new_claim_token, new_worker_id
from gateway.state.queue import Queue
from gateway.state.records import About, Claim, Entry, Kind, Result, Usage
from gateway.state.script import script
from gateway.state.turnlog import Write
from gateway.state.turns import TurnLimits, Turns
from tests.bench import stamp
from tests.bench.directive import Directive
from tests.bench.resp import pack, port_of
from tests.bench.wheel import Wheel

_CLAIMING = 4
_BEAT = 1.0
_LIFETIME = 5.0
_TROUBLE = (b"-ERR", b"-NOSCRIPT", b"GAP", b"FENCED", b"GONE")


class Pipe(asyncio.Protocol):
    """Sends what was written during one turn of the event loop as one piece; dies of a reply that is not a success."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport
        self._waiting: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        if any(word in data for word in _TROUBLE):
            sys.exit(f"a write failed: {data[:200]!r}")

    def send(self, write: Write) -> None:
        call = write.call()
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append(pack("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args))

    def _flush(self) -> None:
        self._transport.write(b"".join(self._waiting))
        self._waiting.clear()


class Feed:
    """One claimed turn."""

    def __init__(self, claim: Claim, number: int, pipe: Pipe, wheel: Wheel) -> None:
        self._claim = claim
        self._directive = Directive.find((claim.input.text or "").encode())
        self._pipe = pipe
        self._wheel = wheel
        self._seq = 0
        self._due = self._directive.first_due(number) or stamp.now() / 1e6
        self._wheel.at(self._due, self._on_time)

    def _on_time(self) -> None:
        if self._seq == self._directive.count:
            self._write(Kind.DONE, b'{"finish_reason":"STOP"}', Result("STOP"))
            return
        self._write(Kind.TEXT, stamp.text(stamp.now()), None)
        self._due += self._directive.every / 1e6
        self._wheel.at(self._due, self._on_time)

    def _write(self, kind: Kind, data: bytes, result: Result | None) -> None:
        before, self._seq = self._seq, self._seq + 1
        attempt, usage = self._claim.attempt, Usage(12, 8 * self._seq, 12 + 8 * self._seq)
        entry = Entry(Position(attempt, self._seq), Position(attempt, before), kind, data)
        self._pipe.send(Write(self._claim.ref, self._claim.token, entry, usage, result))


class Feeder:
    def __init__(self, redis: Redis, pipe: Pipe, wheel: Wheel) -> None:
        self._queue = Queue(redis)
        self._turns = Turns(redis, self._queue, TurnLimits())
        self._worker = new_worker_id()
        self._pipe = pipe
        self._wheel = wheel
        self._feeds = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            for _ in range(_CLAIMING):
                tasks.create_task(self._claim())

    async def _beat(self) -> None:
        while True:
            with suppress(StateUnavailable):
                await self._queue.beat(self._worker, About("feeder", offline=True, concurrency=1), lifetime=_LIFETIME)
            await asyncio.sleep(_BEAT)

    async def _claim(self) -> None:
        while True:
            # What an overloaded Redis keeps from being claimed is missing from what the client counts.
            with suppress(StateUnavailable):
                ref = await self._queue.pop(0.4)
                if ref is not None:
                    await self._feed(ref)

    async def _feed(self, ref: TurnRef) -> None:
        claim = await self._turns.claim(ref, new_claim_token(self._worker), claims_allowed=1)
        if claim is not None:
            self._feeds += 1
            Feed(claim, self._feeds, self._pipe, self._wheel)


async def main() -> None:
    loop, redis = asyncio.get_running_loop(), connect(sys.argv[1])
    for name in ("append", "finish"):
        await redis.script_load(script(name).text)
    _, pipe = await loop.create_connection(Pipe, "127.0.0.1", port_of(sys.argv[1]))
    await Feeder(redis, pipe, Wheel(loop)).run()


if __name__ == "__main__":
    uvloop.run(main())
