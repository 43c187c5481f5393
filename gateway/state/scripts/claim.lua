-- uses: log version session ending
-- Gives a waiting turn to one worker and writes the attempt's first entry, <attempt>-0.
-- KEYS  keys.of_turn
-- ARGV  claim token, claims allowed, failure to write when they are used up (JSON)
-- Result: {'CLAIMED', attempt, record as field/value list, history as XRANGE gives it} | {'HELD'} | {'ENDED'} | {'GONE'} | {'NEWER'} | {'FAILED'}
-- Atomic: two workers must not own one turn. The same token again (a retried command) gets the same answer.
local function claimed(attempt)
  return { 'CLAIMED', attempt, redis.call('HGETALL', KEYS[TURN]), redis.call('XRANGE', KEYS[HISTORY], '-', '+') }
end

local record = redis.call('HMGET', KEYS[TURN], 'state', 'owner', 'attempt', 'tries', 'deadline', 'last', 'reason', 'v')
local state = record[1]
if not state then return { 'GONE' } end
if newer(record[8]) then return { 'NEWER' } end
if ended(state) then return { 'ENDED' } end
if state == 'running' then
  if record[2] ~= ARGV[1] then return { 'HELD' } end
  return claimed(tonumber(record[3]))
end
if overdue(record[5]) then
  force('failed', OVERDUE, '')
  return { 'FAILED' }
end
if tonumber(record[4]) >= tonumber(ARGV[2]) then
  force('failed', ARGV[3], '')
  return { 'FAILED' }
end

local attempt = tonumber(record[3]) + 1
settle()
redis.call('HSET', KEYS[TURN], 'state', 'running', 'owner', ARGV[1], 'attempt', attempt)
redis.call('HINCRBY', KEYS[TURN], 'tries', 1)
redis.call('HINCRBY', KEYS[TURN], 'lease', 1)
first_entry(attempt, record[6], record[7])
return claimed(attempt)
