-- uses: log version session
-- Shows that a turn's worker lives, and asks whether it should stop.
-- KEYS  keys.of_turn
-- ARGV  claim token
-- Result: 'OK' | 'STOP' | 'FENCED' | 'ENDED' | 'GONE'
-- Atomic: a renewal must not revive a lease that was taken.
local record = redis.call('HMGET', KEYS[TURN], 'state', 'owner', 'stop', 'ttl')
if not record[1] then return 'GONE' end
if ended(record[1]) then return 'ENDED' end
if record[1] ~= 'running' or record[2] ~= ARGV[1] then return 'FENCED' end
redis.call('HINCRBY', KEYS[TURN], 'lease', 1)
-- Lifetimes slide once a tenth of them is gone: renewals are many.
if redis.call('PTTL', KEYS[SESSION]) < 0.9 * record[4] then
  touch(record[4])
  -- Slid, never cut: a session's lifetime may be shorter than a turn's deadline.
  redis.call('PEXPIRE', KEYS[TURN], record[4], 'GT')
  redis.call('PEXPIRE', KEYS[LOG], record[4], 'GT')
end
return record[3] and 'STOP' or 'OK'
