-- uses: log version session ending
-- The owner ends its turn: log, history, usage and the session's running turn in one step.
-- KEYS  keys.of_turn
-- ARGV  claim token, entry id, id of the entry before, frame, cumulative usage or '', state, result (JSON)
-- Result: 'OK' | 'DUP' | {'GAP', last id} | 'FENCED' | 'ENDED' | 'GONE'
-- Atomic: exactly one end, exactly one history entry.
local record = redis.call('HMGET', KEYS[TURN], 'state', 'owner', 'last')
if not record[1] then return 'GONE' end
if ended(record[1]) then
  -- Its own end, sent twice, is the last entry to the letter; anybody else's is not.
  return record[3] == ARGV[2] and known(KEYS[LOG], ARGV[2], ARGV[4]) and 'DUP' or 'ENDED'
end
if record[1] ~= 'running' or record[2] ~= ARGV[1] then return 'FENCED' end
if ARGV[3] ~= record[3] then
  return split(ARGV[2]) < split(record[3]) and 'FENCED' or { 'GAP', record[3] }
end
if ARGV[5] ~= '' then redis.call('HSET', KEYS[TURN], 'usage', ARGV[5]) end
close(ARGV[6], ARGV[2], ARGV[4], ARGV[7])
return 'OK'
