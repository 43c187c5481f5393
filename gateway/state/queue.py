"""The queue of turns: hints that wake workers, the index of live turns, and who is there to work and lives.

Nothing rests on a hint: a double one, a lost one or an old one does no harm, because the turn's record decides. The
index is what no turn escapes: a turn is entered before it exists and leaves only after its end was verified.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.client import ask_and_wait
from gateway.state.errors import NoWorker, QueueFull, unavailable_is_told
from gateway.state.ids import TurnRef, WorkerId
from gateway.state.records import About, Census
from gateway.state.script import Argument, Ask, Call, run, script

_QUEUE_KEYS = (keys.READY, keys.LIVE, keys.WORKERS, keys.ABOUT)


class Queue:
    def __init__(self, redis: Redis, *, limit: int = 1000) -> None:
        """``limit``: turns that may wait for a worker before new ones are refused."""
        self._redis = redis
        self._limit = limit

    async def admit(self, ask: Ask | None = None) -> None:
        """Raises QueueFull or NoWorker as ``enter`` would, and enters nothing."""
        await self._enter("", "", ask)

    async def enter(self, ref: TurnRef, ask: Ask | None = None) -> int:
        """Enters a turn that is about to begin in the live index; the server's clock in ms. QueueFull, NoWorker."""
        return await self._enter(str(ref), "1", ask)

    async def _enter(self, ref: str, really: str, ask: Ask | None) -> int:
        question = Call(script("enter"), _QUEUE_KEYS[:3], [ref, self._limit, really])
        reply = await (ask(question) if ask else run(self._redis, question))
        if reply[0] == b"FULL":
            raise QueueFull("too many turns wait")
        if reply[0] == b"NO_WORKER":
            raise NoWorker("no worker lives")
        return int(reply[1])

    async def ready(self, ref: TurnRef) -> None:
        """Hints that a turn waits."""
        await run(self._redis, hint(ref))

    async def pop(self, timeout: float) -> TurnRef | None:
        """The turn that has waited longest, or None after ``timeout`` seconds.

        ``timeout`` must be well below the client's socket timeout, or a quiet queue looks like a dead server.
        """
        with unavailable_is_told():
            popped = await ask_and_wait(self._redis, ("BZPOPMIN", keys.READY, timeout))
        return TurnRef.parse(popped[1].decode()) if popped else None

    async def leave(self, *refs: TurnRef) -> None:
        """Takes ended turns out of index and line."""
        if refs:
            await run(self._redis, Call(script("leave"), _QUEUE_KEYS[:2], [str(ref) for ref in refs]))

    async def live(self, *, limit: int) -> list[tuple[TurnRef, float]]:
        """The live turns, oldest first, each with the seconds since it entered (by the server's clock)."""
        with unavailable_is_told():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.time()
                pipe.zrange(keys.LIVE, 0, limit - 1, withscores=True)
                (seconds, micros), entries = await pipe.execute()
        now = seconds + micros / 1_000_000
        return [(TurnRef.parse(name.decode()), now - score / 1000) for name, score in entries]

    async def waiting(self, refs: Sequence[TurnRef]) -> set[TurnRef]:
        """Those of ``refs`` that have a hint in the line."""
        if not refs:
            return set()
        with unavailable_is_told():
            scores = await self._redis.zmscore(keys.READY, [str(ref) for ref in refs])
        return {ref for ref, score in zip(refs, scores, strict=True) if score is not None}

    async def beat(self, worker: WorkerId, about: About | None, *, lifetime: float) -> int:
        """Raises the worker's counter, which says that its turns are its own, and returns it.

        Gateways may count on the worker for another ``lifetime`` seconds; without ``about`` they may not any more.
        """
        told = b"" if about is None else msgspec.json.encode(about)
        args: list[Argument] = [worker, told, int(lifetime * 1000), keys.control(worker)]
        counter: int = await run(self._redis, Call(script("beat"), [keys.WORKERS, keys.ABOUT, keys.LEASES], args))
        return counter

    async def leases(self) -> dict[WorkerId, int]:
        """The counters of all workers that beat: equal ones seen a whole lease apart mean that the worker is gone."""
        with unavailable_is_told():
            found: Any = await self._redis.hgetall(keys.LEASES)
        return {WorkerId(worker.decode()): int(counter) for worker, counter in found.items()}

    async def resign(self, worker: WorkerId) -> None:
        """A worker that ends says so: nobody counts on it, and nothing is its own any more."""
        with unavailable_is_told():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.zrem(keys.WORKERS, worker)
                pipe.hdel(keys.ABOUT, worker)
                pipe.hdel(keys.LEASES, worker)
                await pipe.execute()

    async def bury(self, *workers: WorkerId) -> None:
        """Forgets the counters of workers that died long ago. One that lives after all begins anew, and notices."""
        if workers:
            with unavailable_is_told():
                await self._redis.hdel(keys.LEASES, *workers)

    async def census(self) -> Census:
        waiting, live, oldest, *told = await run(self._redis, Call(script("census"), _QUEUE_KEYS, []))
        pairs = zip(told[::2], told[1::2], strict=True)
        workers = {WorkerId(wid.decode()): msgspec.json.decode(text, type=About) for wid, text in pairs}
        return Census(int(waiting), int(live), int(oldest) / 1000, workers)


def hint(ref: TurnRef) -> Call:
    """What ``Queue.ready`` runs."""
    return Call(script("ready"), _QUEUE_KEYS[:2], [str(ref)])
