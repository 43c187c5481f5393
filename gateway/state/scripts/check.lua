-- uses: log version session ending
-- A worker asks whether a turn is still its own, and whether it should stop. One past its deadline is ended here.
-- KEYS  keys.of_turn
-- ARGV  claim token
-- Result: 'OK' | 'STOP' | 'FENCED' | 'ENDED' | 'GONE'
-- Atomic: the end is the fence.
local record = redis.call('HMGET', KEYS[TURN], 'state', 'owner', 'stop', 'deadline')
if not record[1] then return 'GONE' end
if ended(record[1]) then return 'ENDED' end
if record[1] ~= 'running' or record[2] ~= ARGV[1] then return 'FENCED' end
if overdue(record[4]) then
  force('failed', OVERDUE, '')
  return 'ENDED'
end
return record[3] and 'STOP' or 'OK'
