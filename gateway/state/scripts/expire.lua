-- uses: log version session ending
-- Takes a turn from a worker that has shown no life for a whole lease.
-- KEYS  keys.of_turn
-- ARGV  the owner that was seen standing still, and the claim's number as it was then
-- Result: 'OK' | 'CHANGED' (or of a version to come) | 'ENDED' | 'GONE'
-- Atomic: another claim in between (or, in the former release, a renewal) and the turn stays where it is. A stop that was
-- asked for is carried out here instead. Should the owner live after all, it is told.
local record = redis.call('HMGET', KEYS[TURN], 'state', 'owner', 'lease', 'stop', 'v')
if not record[1] then return 'GONE' end
if newer(record[5]) then return 'CHANGED' end
if ended(record[1]) then return 'ENDED' end
if record[1] ~= 'running' or record[2] ~= ARGV[1] then return 'CHANGED' end
if tonumber(record[3]) ~= tonumber(ARGV[2]) then return 'CHANGED' end
if record[4] then
  force_stopped()
  return 'ENDED'
end
redis.call('HSET', KEYS[TURN], 'state', 'queued', 'reason', 'worker_lost')
redis.call('HDEL', KEYS[TURN], 'owner')
wake(KEYS[TURN], record[2])
return 'OK'
