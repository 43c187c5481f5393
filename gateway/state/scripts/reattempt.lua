-- uses: log version session ending
-- The owner begins its turn anew after text was shown (the upstream broke in mid-answer): readers get 'reset'.
-- KEYS  keys.of_turn
-- ARGV  claim token, the attempt that broke, reason (a bare word)
-- Result: {'CLAIMED', attempt} | {'FENCED'} | {'ENDED'} | {'GONE'}
-- Atomic: number, owner and first entry change together. Retried, it finds its own work done.
local record = redis.call('HMGET', KEYS[TURN], 'state', 'owner', 'attempt', 'last')
if not record[1] then return { 'GONE' } end
if ended(record[1]) then return { 'ENDED' } end
if record[1] ~= 'running' or record[2] ~= ARGV[1] then return { 'FENCED' } end
local broken, attempt = tonumber(ARGV[2]), tonumber(record[3])
if attempt == broken + 1 then return { 'CLAIMED', attempt } end
if attempt ~= broken then return { 'FENCED' } end
settle()
redis.call('HSET', KEYS[TURN], 'attempt', attempt + 1)
first_entry(attempt + 1, record[4], ARGV[3])
return { 'CLAIMED', attempt + 1 }
