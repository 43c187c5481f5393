-- uses: log
-- Hints that a turn waits for a worker. A second hint for the same turn changes nothing.
-- KEYS  ready, live
-- ARGV  turn reference
-- Result: 1 new, 0 there already
-- Atomic: the hint carries the time at which the turn entered, so a turn put back keeps its place in the line.
local entered = redis.call('ZSCORE', KEYS[2], ARGV[1])
return redis.call('ZADD', KEYS[1], 'NX', entered or integer(now_ms()), ARGV[1])
