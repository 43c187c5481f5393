-- uses: log
-- A worker's beat: its turns stay its own, gateways may count on it, and it hears itself on its own channel.
-- KEYS  workers, about, leases
-- ARGV  worker id, what it says of itself (JSON) or '' once it takes no more turns, ms until gateways count it as gone,
--       its channel
-- Result: its counter
-- Atomic: a worker that takes no more turns is in neither of the first two keys; one that takes some is in all three.
local now = now_ms()
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. integer(now))) do
  redis.call('ZREM', KEYS[1], dead)
  redis.call('HDEL', KEYS[2], dead)
end
if ARGV[2] == '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[2], ARGV[1])
else
  redis.call('ZADD', KEYS[1], integer(now + ARGV[3]), ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
end
redis.call('PUBLISH', ARGV[4], '')
return redis.call('HINCRBY', KEYS[3], ARGV[1], 1)
