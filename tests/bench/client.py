"""``python -m tests.bench.client``: the load client. Reads plans, one a line, and answers each by a line.

One process on raw protocols is enough for all streams: a chunk costs it some microseconds, which the table shows.
"""

import asyncio
import gc
import sys

import msgspec
import uvloop

from tests.bench import stamp
from tests.bench.plan import Outcome, Plan
from tests.bench.tally import Tally
from tests.bench.visitor import Visitor

_CONNECTING = 10.0


async def run(plan: Plan) -> Outcome:
    tally = Tally(plan.since, plan.until)
    visitors: list[Visitor] = []
    try:
        async with asyncio.timeout((plan.stop - stamp.now()) / 1e6), asyncio.TaskGroup() as tasks:
            for number in range(plan.streams):
                tasks.create_task(_visit(plan, number, tally, visitors))
    except TimeoutError:
        for visitor in visitors:
            visitor.close()
        tally.failures["unfinished"] += plan.streams - len(visitors)
    return tally.outcome()


async def _visit(plan: Plan, number: int, tally: Tally, visitors: list[Visitor]) -> None:
    due = plan.begin + plan.ramp * number // plan.streams
    await asyncio.sleep(max(0.0, (due - stamp.now()) / 1e6))
    loop, port = asyncio.get_running_loop(), plan.ports[number % len(plan.ports)]
    try:
        async with asyncio.timeout(_CONNECTING):
            _, visitor = await loop.create_connection(lambda: Visitor(plan, tally), "127.0.0.1", port)
    except OSError:  # a timeout is one, too
        tally.failures["not connected"] += 1
        return
    visitors.append(visitor)
    await asyncio.shield(visitor.over)


async def main() -> None:
    lines = asyncio.StreamReader(limit=1 << 20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    gc.freeze()
    gc.disable()  # Its own pauses would be measured as the product's. What a plan leaves behind goes between plans.
    while line := await lines.readline():
        outcome = await run(msgspec.json.decode(line, type=Plan))
        sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")
        sys.stdout.flush()
        gc.collect()


if __name__ == "__main__":
    uvloop.run(main())
