"""A worker of the former release, as far as ownership goes: it raises its turns' ``lease`` itself, and never beats.

The scripts are that release's own, without what they do to log and history.
"""

from typing import Any

from gateway.state import keys
from gateway.state.ids import ClaimToken, TurnRef, WorkerId, new_claim_token, new_worker_id

_CLAIM = """
local state, attempt, tries, lease = unpack(redis.call('HMGET', KEYS[1], 'state', 'attempt', 'tries', 'lease'))
if state ~= 'queued' then return 'HELD' end
redis.call('HSET', KEYS[1], 'state', 'running', 'owner', ARGV[1], 'attempt', attempt + 1, 'tries', tries + 1,
  'lease', lease + 1)
return 'CLAIMED'
"""
_RENEW = """
local record = redis.call('HMGET', KEYS[1], 'state', 'owner', 'stop', 'ttl')
if record[1] ~= 'running' or record[2] ~= ARGV[1] then return 'FENCED' end
redis.call('HINCRBY', KEYS[1], 'lease', 1)
return 'OK'
"""
_EXPIRE = """
local record = redis.call('HMGET', KEYS[1], 'state', 'owner', 'lease', 'stop', 'v')
if record[1] ~= 'running' or record[2] ~= ARGV[1] or record[3] ~= ARGV[2] then return 'CHANGED' end
redis.call('HSET', KEYS[1], 'state', 'queued', 'reason', 'worker_lost')
redis.call('HDEL', KEYS[1], 'owner')
return 'OK'
"""


class FormerWorker:
    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self.id: WorkerId = new_worker_id()
        self.token: ClaimToken = new_claim_token(self.id)

    async def claim(self, ref: TurnRef) -> bool:
        return bool(await self._run(_CLAIM, ref, self.token) == b"CLAIMED")

    async def renew(self, ref: TurnRef) -> bool:
        return bool(await self._run(_RENEW, ref, self.token) == b"OK")

    async def look(self, ref: TurnRef) -> tuple[str, int]:
        """Owner and lease, as its sweep reads them."""
        owner, lease = await self._redis.hmget(keys.turn(*ref), "owner", "lease")
        return (owner or b"").decode(), int(lease)

    async def expire(self, ref: TurnRef, seen: tuple[str, int]) -> bool:
        return bool(await self._run(_EXPIRE, ref, *seen) == b"OK")

    async def _run(self, text: str, ref: TurnRef, *args: str | int) -> Any:
        return await self._redis.eval(text, 1, keys.turn(*ref), *args)
