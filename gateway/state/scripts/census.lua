-- uses: log
-- The queue and its workers at one moment.
-- KEYS  ready, live, workers, about
-- Result: {waiting, live, oldest wait in ms, worker id, what it says, …}
-- Atomic: the figures belong together.
local now = now_ms()
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local result = { redis.call('ZCARD', KEYS[1]), redis.call('ZCARD', KEYS[2]), oldest[2] and math.max(0, now - oldest[2]) or 0 }
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], integer(now), '+inf')) do
  local about = redis.call('HGET', KEYS[4], id)
  if about then
    result[#result + 1] = id
    result[#result + 1] = about
  end
end
return result
