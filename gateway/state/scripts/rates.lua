-- uses: log
-- Counts one event against several rates at once, by the generic cell rate algorithm: each key holds the moment at
-- which its rate would be unused again.
-- KEYS  one of keys.rate for each rate
-- ARGV  for each rate: events, and the window in ms in which they may happen
-- Result: {0 or the number of the rate that refuses, ms until it would not, then for each rate: events left, ms until
--         it is unused again}
-- Atomic: of those who ask at once exactly as many are let in as the rate allows, and an event that one rate refuses
-- counts against none.
local now = now_ms()
local refused, wait = 0, 0
local ends = {}
for i, key in ipairs(KEYS) do
  local events, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  ends[i] = math.max(now, tonumber(redis.call('GET', key) or 0)) + window / events
  local over = ends[i] - now - window
  if over > wait then refused, wait = i, over end
end

local result = { refused, math.ceil(wait) }
for i, key in ipairs(KEYS) do
  local events, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  if refused == 0 then
    redis.call('SET', key, string.format('%.3f', ends[i]), 'PX', math.max(1, math.ceil(ends[i] - now)))
  else
    ends[i] = ends[i] - window / events
  end
  result[#result + 1] = math.floor((now + window - ends[i]) * events / window + 0.000001)
  result[#result + 1] = math.ceil(ends[i] - now)
end
return result
