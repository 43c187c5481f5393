-- uses: log version session
-- Forgets a conversation (DELETE /history) or a whole session (DELETE /session).
-- KEYS  keys.of_session
-- ARGV  new epoch, or '' to delete the session itself; ttl ms
-- Result: the running turn, or ''
-- Atomic: deleting is fencing. A late write names a turn that is gone or an epoch that is over, and does nothing.
-- The turns' keys are in the session's slot and named after it: they are found by the session's own list.
local base = string.sub(KEYS[SESSION], 1, #KEYS[SESSION] - #'session')
if not opened('') then return '' end
local running = redis.call('HGET', KEYS[SESSION], 'running') or ''
for _, id in ipairs(redis.call('ZRANGE', KEYS[TURNS], 0, -1)) do
  local turn, log = base .. 'turn:' .. id, base .. 'log:' .. id
  if id == running then
    local record = redis.call('HMGET', turn, 'owner', 'last', 'usage')
    if record[3] then book(record[3]) end
    wake(turn, record[1])
    if record[2] then
      -- Readers learn of the end by this last word; the log itself goes.
      local attempt, seq = split(record[2])
      redis.call('SPUBLISH', log, integer(attempt) .. '-' .. integer(seq + 1) .. ' ' .. record[2]
        .. ' stopped\n{"usage":{}}')
    end
  end
  redis.call('DEL', turn, log)
end
redis.call('DEL', KEYS[HISTORY], KEYS[IMAGES], KEYS[IDEMPOTENCY], KEYS[TURNS])
if ARGV[1] == '' then
  redis.call('DEL', KEYS[SESSION])
else
  redis.call('HDEL', KEYS[SESSION], 'running', 'running_images', 'message', 'images', 'key', 'trace')
  redis.call('HSET', KEYS[SESSION], 'epoch', ARGV[1])
  redis.call('PEXPIRE', KEYS[SESSION], ARGV[2])
end
return running
