"""The contract over one client, with shorthands for what has to have happened before a test begins."""

from dataclasses import replace
from typing import Any

import msgspec
from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.ids import (
    ClaimToken,
    Position,
    SessionId,
    TurnRef,
    image_id,
    new_claim_token,
    new_token,
    new_worker_id,
    session_id,
)
from gateway.state.queue import Queue
from gateway.state.records import About, Claim, Entry, Image, ImageRef, Kind, Result, Session, TurnStatus, Usage
from gateway.state.sessions import SessionLimits, Sessions
from gateway.state.turnlog import TurnLog, Write, WriteReply
from gateway.state.turns import TurnLimits, Turns

ABOUT = About(model="gemini-test", offline=True, concurrency=4)

CLAIMS_ALLOWED = 3
HISTORY_BROUGHT = 50


class Scene:
    def __init__(
        self,
        redis: Redis,
        *,
        queue: Queue | None = None,
        session_limits: SessionLimits | None = None,
        turn_limits: TurnLimits | None = None,
    ) -> None:
        self.redis = redis
        self.raw: Any = redis
        """The same client for what a test asks of Redis itself, past redis-py's unfinished annotations."""
        self.queue = queue or Queue(redis)
        self.sessions = Sessions(redis, self.queue, session_limits or SessionLimits())
        self.turns = Turns(redis, self.queue, turn_limits or TurnLimits())
        self.log = TurnLog(redis)
        self.worker = new_worker_id()

    async def beat(self) -> None:
        await self.queue.beat(self.worker, ABOUT, lifetime=60)

    async def session(self) -> Session:
        return await self.sessions.create(session_id(new_token()))

    async def reload(self, session: Session) -> Session:
        found = await self.sessions.load(session.id)
        assert found is not None
        return found

    async def begun(self, session: Session | None = None, message: str | None = "hello") -> TurnRef:
        """A turn begun just now; with no message, for what is pending."""
        session = session or await self.session()
        begun = await self.turns.begin(session, message=message)
        assert begun.new
        return TurnRef(session.id, begun.turn)

    async def begun_without_hint(self, session: Session, message: str | None = "hello") -> TurnRef:
        """As a gateway leaves it whose connection breaks right behind the begin."""
        ref = await self.begun(session, message)
        await self.redis.zrem(keys.READY, str(ref))
        return ref

    async def claim(self, ref: TurnRef, token: ClaimToken | None = None) -> Claim:
        claim = await self.turns.claim(
            ref, token or new_claim_token(self.worker), claims_allowed=CLAIMS_ALLOWED, history_turns=HISTORY_BROUGHT
        )
        assert claim is not None
        return claim

    async def claimed(self, session: Session | None = None, message: str | None = "hello") -> Claim:
        return await self.claim(await self.begun(session, message))

    async def reattempted(self, claim: Claim, reason: str = "upstream_broke") -> Claim:
        attempt = await self.turns.reattempt(claim, reason)
        assert attempt is not None
        return replace(claim, attempt=attempt)

    async def write(self, write: Write) -> WriteReply:
        [reply] = await self.log.write([write])
        return reply

    async def say(self, claim: Claim, seq: int, text: str, usage: Usage | None = None) -> WriteReply:
        return await self.write(text_write(claim, seq, text, usage))

    async def end(self, claim: Claim, seq: int, kind: Kind = Kind.DONE, usage: Usage | None = None) -> WriteReply:
        return await self.write(end_write(claim, seq, kind, usage))

    async def status(self, ref: TurnRef) -> TurnStatus:
        status = await self.turns.status(ref)
        assert status is not None
        return status

    async def entries(self, ref: TurnRef) -> list[Entry]:
        return (await self.log.read(ref, Position(0, 0), count=10_000)).entries

    async def record(self, ref: TurnRef) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = await self.raw.hgetall(keys.turn(*ref))
        return found

    async def live(self) -> set[TurnRef]:
        return {ref for ref, _ in await self.queue.live(limit=1000)}

    async def stored(self) -> dict[bytes, Any]:
        """Everything that Redis holds, lifetimes left out: equal before and after means that nothing was written."""
        return {key: await self._value(key) async for key in self.raw.scan_iter(count=1000)}

    async def _value(self, key: bytes) -> Any:
        match (await self.raw.type(key)).decode():
            case "hash":
                return await self.raw.execute_command("HGETALL", key)
            case "stream":
                return await self.raw.execute_command("XRANGE", key, "-", "+")
            case "zset":
                return await self.raw.execute_command("ZRANGE", key, 0, -1, "WITHSCORES")
            case "list":
                return await self.raw.execute_command("LRANGE", key, 0, -1)
            case other:
                raise AssertionError(f"{key!r} is a {other}")

    async def without_lifetime(self) -> set[str]:
        """The keys that would stay for ever."""
        return {key.decode() async for key in self.raw.scan_iter(count=1000) if await self.raw.pttl(key) == -1}

    async def images_stored(self, sid: SessionId) -> set[str]:
        return {name.decode() for name in await self.raw.hkeys(keys.images(sid))}


def picture(content: str, size: int | None = None) -> Image:
    """An image as the gateway hands it over: the contract never looks inside."""
    raw = content.encode().ljust(size or 0, b".")
    return Image.of(ImageRef(image_id(raw), "image/png", 4, 3, len(raw)), raw)


def text_write(claim: Claim, seq: int, text: str, usage: Usage | None = None) -> Write:
    entry = Entry(Position(claim.attempt, seq), Position(claim.attempt, seq - 1), Kind.TEXT, text.encode())
    return Write(claim.ref, claim.token, entry, usage)


def end_write(claim: Claim, seq: int, kind: Kind = Kind.DONE, usage: Usage | None = None) -> Write:
    told = usage.as_json() if usage else {}
    if kind is Kind.FAILED:
        data = {"error": "upstream_failed", "message": "Gemini failed.", "retryable": True}
        result = Result()
    elif kind is Kind.STOPPED:
        data = {"usage": told}
        result = Result(stopped=True, usage=told)
    else:
        data = {"finish_reason": "STOP", "model": ABOUT.model, "usage": told}
        result = Result(finish_reason="STOP", model=ABOUT.model, usage=told)
    entry = Entry(Position(claim.attempt, seq), Position(claim.attempt, seq - 1), kind, msgspec.json.encode(data))
    return Write(claim.ref, claim.token, entry, usage, result)
