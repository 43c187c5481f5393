-- uses: log version session ending
-- Takes a turn from a worker that has shown no life for a whole lease.
-- KEYS  keys.of_turn
-- ARGV  the owner and the lease counter that were seen standing still
-- Result: 'OK' | 'CHANGED' (or of a version to come) | 'ENDED' | 'GONE'
-- Atomic: one renewal in between and the turn stays where it is. A stop that was asked for is carried out here instead.
local record = redis.call('HMGET', KEYS[TURN], 'state', 'owner', 'lease', 'stop', 'v')
if not record[1] then return 'GONE' end
if newer(record[5]) then return 'CHANGED' end
if ended(record[1]) then return 'ENDED' end
if record[1] ~= 'running' or record[2] ~= ARGV[1] or record[3] ~= ARGV[2] then return 'CHANGED' end
if record[4] then
  force_stopped()
  return 'ENDED'
end
redis.call('HSET', KEYS[TURN], 'state', 'queued', 'reason', 'worker_lost')
redis.call('HDEL', KEYS[TURN], 'owner')
return 'OK'
