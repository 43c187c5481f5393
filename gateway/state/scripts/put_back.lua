-- uses: log version session ending
-- A draining worker gives its turn to the others at once; the claim does not count.
-- KEYS  keys.of_turn
-- ARGV  claim token
-- Result: 'OK' (it waits, now or already) | 'FENCED' | 'ENDED' | 'GONE'
-- Atomic: only the owner may, and only while it owns. A stop that was asked for is carried out here instead.
local record = redis.call('HMGET', KEYS[TURN], 'state', 'owner', 'stop')
if not record[1] then return 'GONE' end
if ended(record[1]) then return 'ENDED' end
if record[1] == 'queued' then return 'OK' end
if record[2] ~= ARGV[1] then return 'FENCED' end
if record[3] then
  force_stopped()
  return 'ENDED'
end
redis.call('HSET', KEYS[TURN], 'state', 'queued', 'reason', 'worker_drained')
redis.call('HDEL', KEYS[TURN], 'owner')
redis.call('HINCRBY', KEYS[TURN], 'tries', -1)
return 'OK'
