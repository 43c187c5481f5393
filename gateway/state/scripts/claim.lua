-- uses: log version session ending
-- Gives a waiting turn to one worker and writes the attempt's first entry, <attempt>-0.
-- KEYS  keys.of_turn
-- ARGV  claim token, claims allowed, failure to write when they are used up (JSON), turns of history to tell
-- Result: {'CLAIMED', history as XREVRANGE gives it, attempt, ms left until the deadline, deadline, created, images, text,
--         request, stop, trace} (from text on each or nil) | {'HELD'} | {'ENDED'} | {'GONE'} | {'NEWER'} | {'FAILED'}
-- Atomic: two workers must not own one turn. The same token again (a retried command) gets the same answer.
local record = redis.call('HMGET', KEYS[TURN], 'state', 'v', 'owner', 'attempt', 'tries', 'lease', 'last', 'reason',
  'deadline', 'created', 'images', 'text', 'request', 'stop', 'trace')
local state, version, owner, attempt, tries, lease, last, reason, deadline = unpack(record, 1, 9)

local function claimed(number)
  local history = ARGV[4] == '0' and {} or redis.call('XREVRANGE', KEYS[HISTORY], '+', '-', 'COUNT', ARGV[4])
  return { 'CLAIMED', history, number, left(deadline), unpack(record, 9) }
end

if not state then return { 'GONE' } end
if newer(version) then return { 'NEWER' } end
if ended(state) then return { 'ENDED' } end
if state == 'running' then
  if owner ~= ARGV[1] then return { 'HELD' } end
  return claimed(tonumber(attempt))
end
if overdue(deadline) then
  force('failed', OVERDUE, '')
  return { 'FAILED' }
end
if tonumber(tries) >= tonumber(ARGV[2]) then
  force('failed', ARGV[3], '')
  return { 'FAILED' }
end

settle()
-- The sign tells that the owner's beats are what to watch. Workers of the former release wrote none and raised the number
-- itself; their sweeps leave a turn with a sign alone: the number as they read it is not the text that they find.
redis.call('HSET', KEYS[TURN], 'state', 'running', 'owner', ARGV[1], 'attempt', attempt + 1, 'tries', tries + 1,
  'lease', '+' .. integer(lease + 1))
first_entry(attempt + 1, last, reason)
return claimed(attempt + 1)
