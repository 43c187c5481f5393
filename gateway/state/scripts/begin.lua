-- uses: log version session
-- Begins a session's turn, once, whichever replica asks.
-- KEYS  keys.of_turn (of the turn to begin)
-- ARGV  epoch or '' for any, ttl ms, turn id, ms by the server's clock when the turn entered the live index, how old that may be,
--       message or '', has message ('1'/''), digest of the idempotency key or '', deadline ms from now,
--       turns of history to keep, log ttl ms, traceparent, then for each of the session's rates its name, how many
--       and the window in ms; the rate named 'tokens' counts what turns have used, the others count turns
-- Result: {'BEGUN', turn} | {'KNOWN', turn} (this key's turn) | {'RUNNING', turn} | {'NOTHING'} | {'GONE'} | {'STALE'}
--         | {'SPENT', name of the rate that refuses, ms until it would not}
-- Atomic: pending input becomes a turn or stays; two tabs begin one turn. STALE: the index entry may be swept by now.
local epoch = opened(ARGV[1])
if not epoch then return { 'GONE' } end
local ttl, id, text, with_text, digest = ARGV[2], ARGV[3], ARGV[6], ARGV[7] == '1', ARGV[8]

-- Records lie in this session's slot; their names follow from the new turn's.
local function record_of(turn)
  return string.sub(KEYS[TURN], 1, #KEYS[TURN] - #id) .. turn
end

-- A retried command finds its own turn, and must before it finds its own idempotency key.
if redis.call('EXISTS', KEYS[TURN]) == 1 then return { 'BEGUN', id } end
local known = digest ~= '' and begun_by(digest)
if known then return { 'KNOWN', known } end

local session = redis.call('HMGET', KEYS[SESSION], 'running', 'message', 'images', 'key', 'trace')
local running = session[1]
if running then
  if redis.call('EXISTS', record_of(running)) == 1 then return { 'RUNNING', running } end
  redis.call('HDEL', KEYS[SESSION], 'running', 'running_images')
end

local now = now_ms()
if now - tonumber(ARGV[4]) > tonumber(ARGV[5]) then return { 'STALE' } end
local trace = ARGV[12]
if not with_text then
  text, digest = session[2], session[4] or ''
  -- The request that brought the message is where its trace begins, not the one that came to read the answer.
  if (session[5] or '') ~= '' then trace = session[5] end
end
local images = session[3] or ''
if not text and images == '' then return { 'NOTHING' } end

-- Each rate is a field of the session: the moment at which it would be unused again (see rates.lua). A turn that one of
-- them refuses counts against none.
local rates, ms_a_token = {}, 0
for i = 13, #ARGV, 3 do
  local field, events, window = 'rate:' .. ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local used = math.max(now, tonumber(redis.call('HGET', KEYS[SESSION], field) or 0))
  local step = window / events
  if ARGV[i] == 'tokens' then ms_a_token = step else rates[field] = used + step end
  local over = used + step - now - window
  if over > 0 then return { 'SPENT', ARGV[i], math.ceil(over) } end
end
redis.call('HSET', KEYS[SESSION], 'ms_a_token', ms_a_token)
for field, used in pairs(rates) do redis.call('HSET', KEYS[SESSION], field, string.format('%.3f', used)) end

redis.call('HSET', KEYS[TURN], 'v', '1', 'id', id, 'epoch', epoch, 'state', 'queued', 'attempt', '0', 'tries', '0',
  'lease', '0', 'last', '0-0', 'images', images, 'created', integer(now), 'deadline', integer(now + ARGV[9]),
  'keep', ARGV[10], 'ttl', ttl, 'log_ttl', ARGV[11], 'trace', trace)
if text then redis.call('HSET', KEYS[TURN], 'text', text) end
redis.call('HDEL', KEYS[SESSION], 'message', 'images', 'key', 'trace')
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
-- Nothing slides lifetimes while the turn says nothing: what it needs outlives its deadline, and its log's readers.
local life = integer(math.max(ttl, ARGV[9] + ARGV[11]))
touch(life)
redis.call('PEXPIRE', KEYS[TURN], life)
return { 'BEGUN', id }
