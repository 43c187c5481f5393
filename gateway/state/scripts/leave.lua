-- Takes an ended turn out of index and line.
-- KEYS  ready, live
-- ARGV  turn reference
-- Result: 1 when it was in the index, else 0
-- Atomic: one command instead of two.
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('ZREM', KEYS[2], ARGV[1])
