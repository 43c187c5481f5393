-- Takes ended turns out of index and line.
-- KEYS  ready, live
-- ARGV  turn references, a thousand at most
-- Result: how many of them were in the index
-- Atomic: one command instead of two.
redis.call('ZREM', KEYS[1], unpack(ARGV))
return redis.call('ZREM', KEYS[2], unpack(ARGV))
