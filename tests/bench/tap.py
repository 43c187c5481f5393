"""``python -m tests.bench.tap REDIS_URL``: a stand-in gateway, so cheap that one worker can be driven to its limit.

It begins turns by the contract, and hears what is published about them on one bare connection. It takes the load
client's plans and answers as that does; of the plan's dialect and ports it has no use.
"""

import asyncio
import sys
from typing import cast

import msgspec
import uvloop

from gateway.state import keys
from gateway.state.connect import connect
from gateway.state.errors import StateError
from gateway.state.ids import new_token, session_id
from gateway.state.queue import Queue
from gateway.state.sessions import SessionLimits, Sessions
from gateway.state.turns import TurnLimits, Turns
from tests.bench import stamp
from tests.bench.plan import Outcome, Plan
from tests.bench.resp import pack, port_of
from tests.bench.stamp import Stamps
from tests.bench.tally import Tally

_BEGINNING = 4


class Ear(asyncio.Protocol):
    def __init__(self) -> None:
        self.tally = Tally(0, 0)
        self._stamps = Stamps()
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def listen(self, channel: str) -> None:
        self._transport.write(pack("SSUBSCRIBE", channel))

    def data_received(self, data: bytes) -> None:
        if stamps := self._stamps.feed(data):
            self.tally.arrived(stamp.now(), stamps)
        if failed := data.count(b" failed\n"):
            self.tally.failures["event: failed"] += failed


class Tap:
    def __init__(self, url: str, ear: Ear) -> None:
        redis = connect(url)
        queue = Queue(redis)
        self._sessions = Sessions(redis, queue, SessionLimits())
        self._turns = Turns(redis, queue, TurnLimits())
        self._ear = ear

    async def run(self, plan: Plan) -> Outcome:
        tally = self._ear.tally = Tally(plan.since, plan.until)
        due = iter([plan.begin + plan.ramp * number // plan.streams for number in range(plan.streams)])

        async def begin() -> None:
            for moment in due:
                await asyncio.sleep(max(0.0, (moment - stamp.now()) / 1e6))
                try:
                    await self._begin(plan.message)
                except StateError as error:
                    tally.failures[type(error).__name__] += 1
                else:
                    tally.begun += 1

        async with asyncio.TaskGroup() as tasks:
            for _ in range(_BEGINNING):
                tasks.create_task(begin())
        await asyncio.sleep(max(0.0, (plan.until - stamp.now()) / 1e6))
        return tally.outcome()

    async def _begin(self, message: str) -> None:
        session = await self._sessions.create(session_id(new_token()))
        begun = await self._turns.begin(session, message=message)
        self._ear.listen(keys.log(session.id, begun.turn))


async def main() -> None:
    lines = asyncio.StreamReader(limit=1 << 20)
    loop, url = asyncio.get_running_loop(), sys.argv[1]
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    _, ear = await loop.create_connection(Ear, "127.0.0.1", port_of(url))
    tap = Tap(url, ear)
    while line := await lines.readline():
        outcome = await tap.run(msgspec.json.decode(line, type=Plan))
        sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())
