-- How a turn ends, whoever ends it.

-- The text of one attempt, as its readers have it.
local function text_of(log, attempt)
  local parts = {}
  for _, entry in ipairs(redis.call('XRANGE', log, attempt, attempt)) do
    local frame = entry[2][2]
    local head = string.find(frame, '\n', 1, true)
    if string.sub(frame, head - 5, head - 1) == ' text' then
      parts[#parts + 1] = string.sub(frame, head + 1)
    end
  end
  return table.concat(parts)
end

-- Books what the current attempt used. Entries carry cumulative usage, so an attempt is booked once, when it ends.
local function settle()
  local used = redis.call('HGET', KEYS[TURN], 'usage')
  if not used then return end
  redis.call('HDEL', KEYS[TURN], 'usage')
  book(used)
end

-- Keeps the newest turns of the conversation; images that only the dropped ones held go too.
local function trim_history(keep)
  local surplus = redis.call('XLEN', KEYS[HISTORY]) - keep
  if surplus <= 0 then return end
  local dropped = {}
  add_ids_of(dropped, redis.call('XRANGE', KEYS[HISTORY], '-', '+', 'COUNT', surplus))
  redis.call('XTRIM', KEYS[HISTORY], 'MAXLEN', keep)
  if next(dropped) then collect_images() end
end

-- A turn that failed gives its input back, message and images together, unless anything newer is pending.
local function give_back(turn)
  local pending = redis.call('HMGET', KEYS[SESSION], 'message', 'images')
  if pending[1] or pending[2] then
    collect_images()
    return
  end
  if turn.text then redis.call('HSET', KEYS[SESSION], 'message', turn.text) end
  if turn.images ~= '' then redis.call('HSET', KEYS[SESSION], 'images', turn.images) end
end

-- A turn of a session that is still the same goes into its history, or back to pending.
local function settle_session(turn, state, result)
  local session = redis.call('HMGET', KEYS[SESSION], 'epoch', 'running')
  if session[1] ~= turn.epoch or session[2] ~= turn.id then return end
  redis.call('HDEL', KEYS[SESSION], 'running', 'running_images')
  if state == 'failed' then
    give_back(turn)
  else
    local fields = { 'turn', turn.id, 'created', turn.created, 'ended', integer(now_ms()), 'images', turn.images,
      'answer', text_of(KEYS[LOG], turn.attempt), 'result', result }
    if turn.text then
      fields[#fields + 1] = 'text'
      fields[#fields + 1] = turn.text
    end
    redis.call('XADD', KEYS[HISTORY], '*', unpack(fields))
    trim_history(tonumber(turn.keep))
  end
  touch(turn.ttl)
end

-- The one end of every turn, whoever ends it: the log's last entry, usage, history, the session's running turn, the
-- lifetime of what is left. The caller has checked that it may.
local function close(state, id, frame, result)
  local fields = redis.call('HGETALL', KEYS[TURN])
  local turn = {}
  for i = 1, #fields, 2 do turn[fields[i]] = fields[i + 1] end
  settle()
  write(KEYS[TURN], KEYS[LOG], id, frame, '')
  redis.call('HSET', KEYS[TURN], 'state', state)
  redis.call('HDEL', KEYS[TURN], 'owner')
  settle_session(turn, state, result)
  redis.call('PEXPIRE', KEYS[TURN], turn.log_ttl)
  redis.call('PEXPIRE', KEYS[LOG], turn.log_ttl)
end

-- Ends a turn from outside its attempt: the entry follows whatever the log ends with, which fences the worker off, and the
-- worker is told. data: JSON of the entry; usage is told as far as the attempt has reported it.
local function force(state, data, result)
  wake(KEYS[TURN], redis.call('HGET', KEYS[TURN], 'owner'))
  local last = redis.call('HGET', KEYS[TURN], 'last')
  local attempt, seq = split(last)
  local id = integer(attempt) .. '-' .. integer(seq + 1)
  close(state, id, last .. ' ' .. state .. '\n' .. data, result)
end

-- '10 5 15' -> '{"input_tokens":10,…}', nothing known -> '{}'
local function usage_json(used)
  local input, output, total = string.match(used or '', '^(%d+) (%d+) (%d+)$')
  if not input then return '{}' end
  return '{"input_tokens":' .. input .. ',"output_tokens":' .. output .. ',"total_tokens":' .. total .. '}'
end

local function force_stopped()
  local usage = usage_json(redis.call('HGET', KEYS[TURN], 'usage'))
  force('stopped', '{"usage":' .. usage .. '}', '{"stopped":true,"usage":' .. usage .. '}')
end

local OVERDUE = '{"error":"deadline_exceeded","message":"The answer took longer than this service allows.","retryable":true}'

-- The entry that opens an attempt: 'start', or 'reset' where readers may hold text of an earlier one.
local function first_entry(attempt, last, reason)
  local kind = attempt == 1 and 'start' or 'reset'
  local data = '{"attempt":' .. integer(attempt) .. ',"reason":"' .. (reason or 'begun') .. '"}'
  write(KEYS[TURN], KEYS[LOG], integer(attempt) .. '-0', last .. ' ' .. kind .. '\n' .. data, '')
  redis.call('PEXPIRE', KEYS[LOG], redis.call('PTTL', KEYS[TURN]))
end
