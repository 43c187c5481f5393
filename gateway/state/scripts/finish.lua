-- uses: log session ending
-- The owner ends its turn: log, history, usage and the session's running turn in one step.
-- KEYS  keys.of_turn
-- ARGV  claim token, entry id, id of the entry before, frame, cumulative usage or '', state, result (JSON)
-- Result: {'OK'} | {'DUP'} | {'GAP', last id} | {'FENCED'} | {'ENDED'} | {'GONE'}
-- Atomic: exactly one end, exactly one history entry.
local record = redis.call('HMGET', KEYS[TURN], 'state', 'owner', 'last')
if not record[1] then return { 'GONE' } end
if ended(record[1]) then
  -- Its own end, sent twice, is the last entry to the letter; anybody else's is not.
  if record[3] == ARGV[2] then
    local entry = redis.call('XRANGE', KEYS[LOG], ARGV[2], ARGV[2])[1]
    if entry and entry[2][2] == ARGV[4] then return { 'DUP' } end
  end
  return { 'ENDED' }
end
if record[1] ~= 'running' or record[2] ~= ARGV[1] then return { 'FENCED' } end
if ARGV[3] ~= record[3] then return { 'GAP', record[3] } end
if ARGV[5] ~= '' then redis.call('HSET', KEYS[TURN], 'usage', ARGV[5]) end
close(ARGV[6], ARGV[2], ARGV[4], ARGV[7])
return { 'OK' }
