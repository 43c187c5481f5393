"""Sessions that were here before: each with a turn in its history, written as gateway and worker would."""

import asyncio

from redis.asyncio import Redis

from gateway.state.ids import Position, TurnRef, WorkerId, new_claim_token, new_token, session_id
from gateway.state.queue import Queue
from gateway.state.records import About, Entry, Kind, Result
from gateway.state.sessions import SessionLimits, Sessions
from gateway.state.turnlog import TurnLog, Write
from gateway.state.turns import TurnLimits, Turns

_AT_ONCE = 16
_NOBODY = WorkerId("nobody")
_ANSWER = b"It is not down in any map; true places never are. " * 20


async def settle(redis: Redis, sessions: int) -> None:
    """Fills an empty server. No worker may live yet: it would answer what is begun here."""
    synced = str((await redis.config_get("appendfsync"))["appendfsync"])
    await redis.config_set("appendfsync", "no")  # Nothing is measured yet.
    try:
        await _fill(redis, sessions)
    finally:
        await redis.config_set("appendfsync", synced)


async def _fill(redis: Redis, sessions: int) -> None:
    queue = Queue(redis)
    settlers = _Settlers(redis, queue)
    await queue.beat(_NOBODY, About("none", offline=True, concurrency=1), lifetime=600.0)
    async with asyncio.TaskGroup() as tasks:
        for number in range(_AT_ONCE):
            tasks.create_task(settlers.settle(len(range(number, sessions, _AT_ONCE))))
    await queue.resign(_NOBODY)


class _Settlers:
    def __init__(self, redis: Redis, queue: Queue) -> None:
        self._queue = queue
        self._sessions = Sessions(redis, queue, SessionLimits())
        self._turns = Turns(redis, queue, TurnLimits())
        self._log = TurnLog(redis)

    async def settle(self, count: int) -> None:
        for _ in range(count):
            session = await self._sessions.create(session_id(new_token()))
            begun = await self._turns.begin(session, message="Call me Ishmael.")
            await self._answer(TurnRef(session.id, begun.turn))

    async def _answer(self, ref: TurnRef) -> None:
        token = new_claim_token(_NOBODY)
        claim = await self._turns.claim(ref, token, claims_allowed=1)
        assert claim is not None
        text = Entry(Position(1, 1), claim.start, Kind.TEXT, _ANSWER)
        end = Entry(Position(1, 2), Position(1, 1), Kind.DONE, b"{}")
        replies = await self._log.write([Write(ref, token, text), Write(ref, token, end, result=Result("STOP"))])
        assert all(reply.verdict.written for reply in replies), replies
        await self._queue.leave(ref)
