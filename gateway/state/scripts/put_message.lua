-- uses: version session
-- Stores the pending message; the last one wins.
-- KEYS  keys.of_session
-- ARGV  epoch or '' for any, ttl ms, text, digest of the idempotency key or '', traceparent or ''
-- Result: {'OK'} | {'GONE'} | {'BEGUN', turn id} when that key's message already began a turn
-- Atomic: the key's look-up and the write must not be parted by a begin.
if not opened(ARGV[1]) then return { 'GONE' } end
local begun = ARGV[4] ~= '' and begun_by(ARGV[4])
if begun then return { 'BEGUN', begun } end
redis.call('HSET', KEYS[SESSION], 'message', ARGV[3], 'key', ARGV[4], 'trace', ARGV[5])
touch(ARGV[2])
return { 'OK' }
