-- uses: log version session ending
-- Ends a turn as failed once its hard deadline has passed by the server's clock.
-- KEYS  keys.of_turn
-- Result: 1 when this ended it, else 0
-- Atomic: the end is the fence.
local record = redis.call('HMGET', KEYS[TURN], 'state', 'deadline', 'v')
if not record[1] or newer(record[3]) or ended(record[1]) or not overdue(record[2]) then return 0 end
force('failed', OVERDUE, '')
return 1
