-- uses: log
-- Enters a turn in the index of live turns, before its record exists, if it may be admitted.
-- KEYS  ready, live, workers
-- ARGV  turn reference, turns that may wait, '1' to enter or '' only to ask
-- Result: {'OK', server's clock in ms} | {'FULL'} | {'NO_WORKER'}
-- Atomic: answer and entry are one. Those who have entered are not in the line before their turn has begun, so a full
-- line is overrun by as many as begin at that moment.
local now = now_ms()
if redis.call('ZCOUNT', KEYS[3], integer(now), '+inf') == 0 then return { 'NO_WORKER' } end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return { 'FULL' } end
if ARGV[3] == '1' then redis.call('ZADD', KEYS[2], integer(now), ARGV[1]) end
return { 'OK', integer(now) }
