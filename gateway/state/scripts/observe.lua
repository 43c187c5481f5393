-- uses: log
-- One look at a turn's record.
-- KEYS  turn
-- Result: {} when it is gone | {state, attempt, last, owner or '', lease, overdue 0/1}
-- Atomic: the deadline is judged by the server's clock at the moment of the read.
local record = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'last', 'owner', 'lease', 'deadline')
if not record[1] then return {} end
return { record[1], record[2], record[3], record[4] or '', record[5], overdue(record[6]) and 1 or 0 }
