-- uses: log
-- A worker says that it lives, and sweeps out those that have stopped saying so.
-- KEYS  workers, about
-- ARGV  worker id, what it says of itself (JSON), ms until it counts as dead
-- Result: workers alive
-- Atomic: both keys name the same workers.
local now = now_ms()
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. integer(now))) do
  redis.call('ZREM', KEYS[1], dead)
  redis.call('HDEL', KEYS[2], dead)
end
redis.call('ZADD', KEYS[1], integer(now + ARGV[3]), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
