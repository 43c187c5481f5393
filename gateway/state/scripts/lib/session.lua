-- A session's keys and what they hold. SESSION … LOG are KEYS[1..7] of every script that can end a turn (keys.of_turn);
-- scripts that end none get the first five (keys.of_session).

local SESSION, HISTORY, IMAGES, IDEMPOTENCY, TURNS, TURN, LOG = 1, 2, 3, 4, 5, 6, 7

-- The session's epoch if it is open and may be written, else nil. expected: the epoch it must have, or '' for any.
-- One of a version to come is an error, not gone: the caller may try again and reach a process that knows it.
local function opened(expected)
  local session = redis.call('HMGET', KEYS[SESSION], 'epoch', 'v')
  if newer(session[2]) then error('the session is of a version to come') end
  return (expected == '' or session[1] == expected) and session[1] or nil
end

-- A session's keys expire together: whoever writes one slides all. While a turn runs none is cut: its begin saw to it that
-- they outlive it, and nothing slides them while the turn says nothing.
local function touch(ttl_ms)
  local ttl = ttl_ms
  if redis.call('HEXISTS', KEYS[SESSION], 'running') == 1 then
    local had = redis.call('PTTL', KEYS[SESSION])
    if had > tonumber(ttl_ms) then ttl = had end
  end
  for i = SESSION, TURNS do
    redis.call('PEXPIRE', KEYS[i], ttl)
  end
end

-- Adds the ids of 'id:mime:w:h:size id:…' to a set.
local function add_ids(set, refs)
  for id in string.gmatch(refs or '', '(%x+):%S+') do
    set[id] = true
  end
end

-- Adds the ids that entries of history name to a set.
local function add_ids_of(set, entries)
  for _, entry in ipairs(entries) do
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'images' then add_ids(set, entry[2][i + 1]) end
    end
  end
end

-- Deletes images that history, running turn and pending input all lack. Reads the whole history, and returns it.
local function collect_images()
  local wanted = {}
  local held = redis.call('HMGET', KEYS[SESSION], 'images', 'running_images')
  add_ids(wanted, held[1])
  add_ids(wanted, held[2])
  local history = redis.call('XRANGE', KEYS[HISTORY], '-', '+')
  add_ids_of(wanted, history)
  for _, id in ipairs(redis.call('HKEYS', KEYS[IMAGES])) do
    if not wanted[id] then redis.call('HDEL', KEYS[IMAGES], id) end
  end
  return history
end

-- Adds '<input> <output> <total>' to the tokens that the session has used; one that is gone does not come back by it.
local function book(used)
  local input, output, total = string.match(used, '^(%d+) (%d+) (%d+)$')
  if not input or redis.call('EXISTS', KEYS[SESSION]) == 0 then return end
  redis.call('HINCRBY', KEYS[SESSION], 'input_tokens', input)
  redis.call('HINCRBY', KEYS[SESSION], 'output_tokens', output)
  redis.call('HINCRBY', KEYS[SESSION], 'total_tokens', total)
  local ms_a_token = tonumber(redis.call('HGET', KEYS[SESSION], 'ms_a_token') or 0)
  if ms_a_token > 0 then
    local unused = math.max(now_ms(), tonumber(redis.call('HGET', KEYS[SESSION], 'rate:tokens') or 0))
    redis.call('HSET', KEYS[SESSION], 'rate:tokens', string.format('%.3f', unused + total * ms_a_token))
  end
end

-- The turn that the message with this idempotency key began, or nil.
local function begun_by(digest)
  for _, line in ipairs(redis.call('LRANGE', KEYS[IDEMPOTENCY], 0, -1)) do
    local known, turn = string.match(line, '^(%S+) (%S+)$')
    if known == digest then return turn end
  end
  return nil
end

-- Tells the worker of a turn's owner, on the worker's own channel (keys.control), that somebody else changed the turn.
-- turn: the record's key (keys.turn); owner: the claim token, or nil
local function wake(turn, owner)
  if not owner then return end
  local prefix, session, id = string.match(turn, '^(.-):{(.-)}:turn:(.+)$')
  redis.call('PUBLISH', prefix .. ':control:' .. string.match(owner, '^[^/]*'), session .. ':' .. id)
end
