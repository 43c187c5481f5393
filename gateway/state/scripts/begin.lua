-- uses: log session
-- Begins a session's turn, once, whichever replica asks.
-- KEYS  keys.of_turn (of the turn to begin)
-- ARGV  epoch, ttl ms, turn id, ms by the server's clock when the turn entered the live index, how old that may be,
--       message or '', has message ('1'/''), digest of the idempotency key or '', deadline ms from now,
--       turns of history to keep, log ttl ms, traceparent
-- Result: {'BEGUN', turn} | {'KNOWN', turn} (this key's turn) | {'RUNNING', turn} | {'NOTHING'} | {'GONE'} | {'STALE'}
-- Atomic: pending input becomes a turn or stays; two tabs begin one turn. STALE: the index entry may be swept by now.
if redis.call('HGET', KEYS[SESSION], 'epoch') ~= ARGV[1] then return { 'GONE' } end
local ttl, id, text, with_text, digest = ARGV[2], ARGV[3], ARGV[6], ARGV[7] == '1', ARGV[8]

-- Records lie in this session's slot; their names follow from the new turn's.
local function record_of(turn)
  return string.sub(KEYS[TURN], 1, #KEYS[TURN] - #id) .. turn
end

local known = digest ~= '' and begun_by(digest)
if known then return { 'KNOWN', known } end

local session = redis.call('HMGET', KEYS[SESSION], 'running', 'message', 'images', 'key')
local running = session[1]
if running == id then return { 'BEGUN', id } end
if running then
  if redis.call('EXISTS', record_of(running)) == 1 then return { 'RUNNING', running } end
  redis.call('HDEL', KEYS[SESSION], 'running', 'running_images')
end

local now = now_ms()
if now - tonumber(ARGV[4]) > tonumber(ARGV[5]) then return { 'STALE' } end
if not with_text then
  text, digest = session[2], session[4] or ''
end
local images = session[3] or ''
if not text and images == '' then return { 'NOTHING' } end

redis.call('HSET', KEYS[TURN], 'v', '1', 'id', id, 'epoch', ARGV[1], 'state', 'queued', 'attempt', '0', 'tries', '0',
  'lease', '0', 'last', '0-0', 'images', images, 'created', integer(now), 'deadline', integer(now + ARGV[9]),
  'keep', ARGV[10], 'ttl', ttl, 'log_ttl', ARGV[11], 'trace', ARGV[12])
if text then redis.call('HSET', KEYS[TURN], 'text', text) end
redis.call('HDEL', KEYS[SESSION], 'message', 'images', 'key')
redis.call('HSET', KEYS[SESSION], 'running', id, 'running_images', images)
if digest ~= '' then
  redis.call('LPUSH', KEYS[IDEMPOTENCY], digest .. ' ' .. id)
  -- A client retries within moments: the newest 32 keys are plenty.
  redis.call('LTRIM', KEYS[IDEMPOTENCY], 0, 31)
end

-- The session's turns are kept by name so that deleting it can find their keys; those that expired are forgotten.
redis.call('ZADD', KEYS[TURNS], integer(now), id)
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[TURNS], '-inf', integer(now - ARGV[9] - ARGV[11]), 'LIMIT', 0, 8)) do
  if redis.call('EXISTS', record_of(old)) == 0 then redis.call('ZREM', KEYS[TURNS], old) end
end
touch(ttl)
redis.call('PEXPIRE', KEYS[TURN], integer(math.max(ttl, ARGV[9] + ARGV[11])))
return { 'BEGUN', id }
