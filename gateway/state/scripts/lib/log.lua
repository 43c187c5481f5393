-- Time, numbers, and the only place that writes a log.

-- Milliseconds by the server's clock, so that no two machines' clocks are ever compared.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function left(deadline)
  return tonumber(deadline or 0) - now_ms()
end

local function overdue(deadline)
  return deadline and left(deadline) < 0
end

local function integer(n)
  return string.format('%.0f', n)
end

local function ended(state)
  return state == 'done' or state == 'stopped' or state == 'failed'
end

-- An entry is stored first and published after: no reader can see what the log lacks.
-- usage: what the attempt has used so far ('in out total'), or '' where nothing new is known.
local function write(turn, log, id, frame, usage)
  redis.call('XADD', log, id, 'f', frame)
  if usage == '' then
    redis.call('HSET', turn, 'last', id)
  else
    redis.call('HSET', turn, 'last', id, 'usage', usage)
  end
  redis.call('SPUBLISH', log, id .. ' ' .. frame)
end

-- Whether the log holds this entry to the letter: then the write is a repeated command.
local function known(log, id, frame)
  local entry = redis.call('XRANGE', log, id, id)[1]
  return entry and entry[2][2] == frame
end

-- What readers and sweepers look at: {} when the turn is gone, else
-- {state, attempt, last, owner or '', lease, overdue 0/1, ms left until the deadline}.
local function observed(turn)
  local record = redis.call('HMGET', turn, 'state', 'attempt', 'last', 'owner', 'lease', 'deadline')
  if not record[1] then return {} end
  return { record[1], record[2], record[3], record[4] or '', record[5], overdue(record[6]) and 1 or 0,
    left(record[6]) }
end

-- '2-7' -> 2, 7
local function split(id)
  local attempt, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(attempt), tonumber(seq)
end
