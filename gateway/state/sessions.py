"""Sessions: pending input, conversation, images."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.client import apart
from gateway.state.errors import ImageQuotaExceeded, SessionGone, unavailable_is_told
from gateway.state.history import HistoryTurn
from gateway.state.ids import Epoch, ImageId, SessionId, TurnId, TurnRef, idempotency_digest, new_epoch
from gateway.state.queue import Queue
from gateway.state.records import (
    Image,
    ImageRef,
    Session,
    Usage,
    decode_refs,
    encode_refs,
)
from gateway.state.script import Argument, Call, run, script


@dataclass(frozen=True, slots=True)
class SessionLimits:
    ttl: float = 7 * 86400
    """Seconds after its last write at which a session expires as a whole."""
    image_bytes: int = 64 * 2**20
    image_count: int = 64

    @property
    def ttl_ms(self) -> int:
        return int(self.ttl * 1000)


_FIELDS = ("epoch", "message", "images", "running", "input_tokens", "output_tokens", "total_tokens")


class Sessions:
    def __init__(self, redis: Redis, queue: Queue, limits: SessionLimits) -> None:
        self._redis = redis
        self._images = apart(redis)
        self._queue = queue
        self._limits = limits

    async def create(self, sid: SessionId) -> Session:
        """Opens a session; one that is open already is left as it is."""
        epoch = await run(self._redis, Call(script("create"), keys.of_session(sid), [new_epoch(), self._limits.ttl_ms]))
        return Session(sid, Epoch(epoch.decode()))

    async def load(self, sid: SessionId) -> Session | None:
        """None when no such session is known: never begun, expired or deleted."""
        with unavailable_is_told():
            found: Any = await self._redis.hmget(keys.session(sid), _FIELDS)
        epoch, message, images, running, *tokens = found
        if epoch is None:
            return None
        return Session(
            id=sid,
            epoch=Epoch(epoch.decode()),
            pending_message=message is not None,
            pending_images=len(decode_refs((images or b"").decode())),
            running=TurnId(running.decode()) if running else None,
            usage=Usage(*(int(n or 0) for n in tokens)),
        )

    async def put_message(
        self, session: Session, text: str, *, key: str | None = None, trace: str = ""
    ) -> TurnId | None:
        """Makes ``text`` the pending message; the last one wins. ``trace``: its turn's ``traceparent``.

        With an idempotency key whose message has already begun a turn, stores nothing and names that turn.
        """
        args: list[Argument] = [session.epoch, self._limits.ttl_ms, text, idempotency_digest(key), trace]
        reply = await run(self._redis, Call(script("put_message"), keys.of_session(session.id), args))
        if reply[0] == b"GONE":
            raise SessionGone(session.id)
        return TurnId(reply[1].decode()) if reply[0] == b"BEGUN" else None

    async def put_images(self, session: Session, images: Sequence[Image]) -> None:
        """Replaces the pending images. Where room is short, images that only history holds age out, oldest first."""
        limits = self._limits
        refs = encode_refs(tuple(image.ref for image in images))
        args: list[Argument] = [session.epoch, limits.ttl_ms, limits.image_bytes, limits.image_count, refs]
        for image in images:
            args += [image.ref.id, image.stored]
        reply = await run(self._images, Call(script("put_images"), keys.of_session(session.id), args))
        if reply == b"GONE":
            raise SessionGone(session.id)
        if reply == b"QUOTA":
            raise ImageQuotaExceeded(session.id)

    async def history(self, sid: SessionId) -> list[HistoryTurn]:
        """The conversation's ended turns, oldest first."""
        with unavailable_is_told():
            rows: Any = await self._redis.xrange(keys.history(sid))
        return HistoryTurn.decode_all(fields for _, fields in rows)

    async def image(self, sid: SessionId, image: ImageId) -> Image | None:
        with unavailable_is_told():
            stored: Any = await self._images.hget(keys.images(sid), image)
        if stored is None:
            return None
        mime, content = _split(stored)
        return Image(ImageRef(image, mime, 0, 0, len(content)), stored)

    async def images(self, sid: SessionId, ids: Iterable[ImageId]) -> dict[ImageId, bytes]:
        """The contents of those images that still exist."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        with unavailable_is_told():
            stored: Any = await self._images.hmget(keys.images(sid), wanted)
        return {image: _split(content)[1] for image, content in zip(wanted, stored, strict=True) if content}

    async def clear(self, session: Session) -> None:
        """Forgets history, images and pending input; ends the running turn. The session's usage stays."""
        await self._forget(session.id, new_epoch())

    async def delete(self, sid: SessionId) -> None:
        """Erases every key of the session; ends the running turn."""
        await self._forget(sid, "")

    async def _forget(self, sid: SessionId, epoch: str) -> None:
        call = Call(script("forget"), keys.of_session(sid), [epoch, self._limits.ttl_ms])
        running = await run(self._redis, call)
        if running:
            await self._queue.leave(TurnRef(sid, TurnId(running.decode())))


def _split(stored: bytes) -> tuple[str, bytes]:
    mime, _, content = stored.partition(b"\n")
    return mime.decode(), content
