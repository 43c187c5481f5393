"""Turns, from begin to end: every change of a turn's record, which is the only truth about it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec
from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.errors import (
    NothingPending,
    RateSpent,
    SessionGone,
    StateError,
    StateUnavailable,
    TurnRunning,
    unavailable_is_told,
)
from gateway.state.ids import ClaimToken, TurnId, TurnRef, idempotency_digest, new_turn_id, one_off_session_id
from gateway.state.queue import Queue, hint
from gateway.state.rates import Rate
from gateway.state.records import Claim, Session, TextRequest, TurnStatus
from gateway.state.replies import claim_of, status_call, status_of
from gateway.state.script import Argument, Ask, Call, failed, run, run_all, script

TOKENS = "tokens"
"""The rate that is charged with what turns have really used."""

ENTRY_MAX_AGE = 20.0
"""Seconds that may pass between a turn's entry in the live index and its begin; after it the begin is refused."""


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """What a gateway writes into the record of each turn it begins, so that whoever ends the turn knows it."""

    deadline: float = 600.0
    """Seconds after which anybody ends the turn as failed."""
    log_ttl: float = 600.0
    """Seconds that record and log outlive the turn's end, for readers who come back."""
    session_ttl: float = 7 * 86400
    history_turns: int = 100
    rates: Mapping[str, Rate] = field(default_factory=dict)
    """What one session may do, by name; the one named ``TOKENS`` counts tokens used, every other one turns."""


@dataclass(frozen=True, slots=True)
class Begun:
    turn: TurnId
    new: bool
    """False when the turn had begun before: it runs already, or the idempotency key is known."""


class StopAnswer(Enum):
    ENDED = "had ended, or is gone"
    STOPPED = "was waiting, and is ended"
    ASKED = "runs: its worker is told"


def _unexpected(_ref: TurnRef) -> None:
    """Where nobody wants to know."""


class Turns:
    def __init__(self, redis: Redis, queue: Queue, limits: TurnLimits) -> None:
        self._redis = redis
        self._queue = queue
        self._limits = limits

    # What gateways do.

    async def begin(
        self,
        session: Session,
        *,
        message: str | None = None,
        key: str | None = None,
        trace: str = "",
        expect: Callable[[TurnRef], None] = _unexpected,
        ask: Ask | None = None,
    ) -> Begun:
        """Begins the turn for what is pending, or for ``message`` together with the pending images.

        Without a message, a running turn is named instead. Raises NothingPending, SessionGone, RateSpent, QueueFull,
        NoWorker, and TurnRunning where a message was given while a turn runs (nothing is stored then). The order
        (index, record, hint) leaves at any death in between a state that a sweep puts right.

        ``expect`` is told of the turn before it begins, if it does. ``ask`` asks the first question, and what it raises
        by itself is raised, too.
        """
        ref = TurnRef(session.id, new_turn_id())
        expect(ref)
        entered = await self._enter(ref, ask)
        limits = self._limits
        args: list[Argument] = [
            session.epoch,
            int(limits.session_ttl * 1000),
            ref.turn,
            entered,
            int(ENTRY_MAX_AGE * 1000),
            message or "",
            "" if message is None else "1",
            idempotency_digest(key),
            int(limits.deadline * 1000),
            limits.history_turns,
            int(limits.log_ttl * 1000),
            trace,
        ]
        for name, rate in limits.rates.items():
            args += [name, rate.events, rate.window * 1000]
        verdict, *told = await self._begun(ref, Call(script("begin"), keys.of_turn(*ref), args))
        if verdict == b"BEGUN":
            return Begun(ref.turn, new=True)
        await self._queue.leave(ref)
        return _not_begun(session, verdict, told, with_message=message is not None)

    async def submit(
        self,
        prompt: str,
        request: TextRequest,
        *,
        trace: str = "",
        expect: Callable[[TurnRef], None] = _unexpected,
        ask: Ask | None = None,
    ) -> TurnRef:
        """Begins a turn without session and history; ``expect`` and ``ask`` as in ``begin``. QueueFull, NoWorker."""
        ref = TurnRef(one_off_session_id(), new_turn_id())
        expect(ref)
        entered = await self._enter(ref, ask)
        limits = self._limits
        args: list[Argument] = [
            ref.turn,
            entered,
            int(ENTRY_MAX_AGE * 1000),
            prompt,
            msgspec.json.encode(request),
            int(limits.deadline * 1000),
            int(limits.log_ttl * 1000),
            trace,
        ]
        reply = await self._begun(ref, Call(script("submit"), keys.of_turn(*ref), args))
        if reply == b"STALE":
            await self._queue.leave(ref)
            raise StateUnavailable("the turn could not begin in time")
        return ref

    async def _enter(self, ref: TurnRef, ask: Ask | None) -> int:
        try:
            return await self._queue.enter(ref, ask)
        except StateError:
            raise
        except BaseException:
            # It may be entered, and what was asked with it refuses, or the caller has gone: that must be heard.
            with suppress(StateUnavailable):
                await self._queue.leave(ref)
            raise

    async def _begun(self, ref: TurnRef, begin: Call) -> Any:
        """Sends a begin and, right behind it, the hint: without a turn it does no harm, and one that fails is given
        again by a sweep."""
        reply, _ = await run_all(self._redis, [begin, hint(ref)])
        if failed(reply):
            await self._queue.leave(ref)
            raise StateUnavailable(type(reply).__name__)
        return reply

    async def status(self, ref: TurnRef) -> TurnStatus | None:
        """None when the turn is not known: never begun, expired, deleted."""
        return status_of(await run(self._redis, status_call(ref)))

    async def trace(self, ref: TurnRef) -> str:
        """The ``traceparent`` of the request that began the turn; empty where there is none."""
        with unavailable_is_told():
            told: Any = await self._redis.hget(keys.turn(*ref), "trace")
        return told.decode() if told else ""

    async def stop(self, ref: TurnRef) -> StopAnswer:
        """Asks for the stop: durable in the record, and told to the worker in the same step."""
        reply = await run(self._redis, Call(script("stop"), keys.of_turn(*ref), []))
        answer = StopAnswer[reply.decode()]
        if answer is not StopAnswer.ASKED:
            await self._queue.leave(ref)
        return answer

    async def force_stop(self, ref: TurnRef) -> bool:
        """Ends a turn from the text its log holds and fences its worker off; False when it had ended."""
        return await self._end(ref, "force_stop")

    async def end_overdue(self, ref: TurnRef) -> bool:
        """Ends a turn as failed if its hard deadline has passed; False otherwise."""
        return await self._end(ref, "end_overdue")

    async def _end(self, ref: TurnRef, how: str) -> bool:
        ended: bool = await run(self._redis, Call(script(how), keys.of_turn(*ref), [])) == 1
        if ended:
            await self._queue.leave(ref)
        return ended

    # What workers do.

    async def claim(
        self, ref: TurnRef, token: ClaimToken, *, claims_allowed: int, history_turns: int = 0
    ) -> Claim | None:
        """The turn, if it waits; None if there is nothing to do about it (ended, gone, another's, a newer version's).

        A turn whose workers died ``claims_allowed`` times is ended as failed here. The same token again returns the
        same attempt, so a claim whose reply was lost may simply be repeated. ``history_turns``: how many of the
        session's newest turns to bring along.
        """
        worn_out = {
            "error": "worker_lost",
            "message": "The answer failed repeatedly. Please try again.",
            "retryable": True,
        }
        args: list[Argument] = [token, claims_allowed, msgspec.json.encode(worn_out), history_turns]
        verdict, *told = await run(self._redis, Call(script("claim"), keys.of_turn(*ref), args))
        if verdict == b"CLAIMED":
            return claim_of(ref, token, *told)
        if verdict in (b"ENDED", b"FAILED"):
            await self._queue.leave(ref)
        # One that is gone may be about to begin, behind a hint that was quicker: sweeps judge its index entry.
        return None

    async def check(self, claims: Sequence[Claim]) -> list[str]:
        """For each claim: OK, STOP (wanted by somebody), FENCED, ENDED, GONE, or ERROR (ask again).

        A turn past its deadline is ended by this.
        """
        calls = [Call(script("check"), keys.of_turn(*claim.ref), [claim.token]) for claim in claims]
        return ["ERROR" if failed(reply) else reply.decode() for reply in await run_all(self._redis, calls)]

    async def reattempt(self, claim: Claim, reason: str) -> int | None:
        """The number of the turn's next attempt by the same worker, after readers were told to discard the text so far.

        None when the turn is no longer this claim's.
        """
        args: list[Argument] = [claim.token, claim.attempt, reason]
        reply = await run(self._redis, Call(script("reattempt"), keys.of_turn(*claim.ref), args))
        return int(reply[1]) if reply[0] == b"CLAIMED" else None

    async def put_back(self, claim: Claim) -> None:
        """Gives the turn to the other workers at once. The claim does not count."""
        reply = await run(self._redis, Call(script("put_back"), keys.of_turn(*claim.ref), [claim.token]))
        await self._offer_or_leave([claim.ref], [reply])

    async def expire(self, ref: TurnRef, seen: TurnStatus) -> bool:
        """Takes a turn from the owner that was seen standing still; False when it changed hands after all, or ended."""
        [taken] = await self.expire_all([(ref, seen)])
        return taken

    async def expire_all(self, lost: Sequence[tuple[TurnRef, TurnStatus]]) -> list[bool]:
        """As ``expire`` for each. Raises StateUnavailable if any could not be asked for."""
        replies = await run_all(
            self._redis,
            [Call(script("expire"), keys.of_turn(*ref), [seen.owner or "", seen.lease]) for ref, seen in lost],
        )
        await self._offer_or_leave([ref for ref, _ in lost], replies)
        if any(failed(reply) for reply in replies):
            raise StateUnavailable("a turn could not be taken")
        return [reply == b"OK" for reply in replies]

    async def _offer_or_leave(self, refs: Sequence[TurnRef], replies: Sequence[Any]) -> None:
        """Whoever dies before the hint: sweeps give it (``workers.sweep`` says whose)."""
        told = list(zip(refs, replies, strict=True))
        await run_all(self._redis, [hint(ref) for ref, reply in told if reply == b"OK"])
        await self._queue.leave(*(ref for ref, reply in told if reply in (b"ENDED", b"GONE")))

    async def observe(self, refs: Sequence[TurnRef]) -> list[TurnStatus | None]:
        """One look at many records. Raises StateUnavailable if any of them could not be read."""
        replies = await run_all(self._redis, [status_call(ref) for ref in refs])
        if any(failed(reply) for reply in replies):
            raise StateUnavailable("a record could not be read")
        return [status_of(reply) for reply in replies]


def _not_begun(session: Session, verdict: bytes, told: list[Any], *, with_message: bool) -> Begun:
    match verdict:
        case b"NOTHING":
            raise NothingPending(session.id)
        case b"GONE":
            raise SessionGone(session.id)
        case b"SPENT":
            raise RateSpent(told[0].decode(), int(told[1]) / 1000)
        case b"STALE":
            raise StateUnavailable("the turn could not begin in time")
    turn = TurnId(told[0].decode())
    if verdict == b"RUNNING" and with_message:
        raise TurnRunning(turn)
    return Begun(turn, new=False)
