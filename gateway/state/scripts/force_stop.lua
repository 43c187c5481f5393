-- uses: log version session ending
-- Ends a turn as stopped from the text its log holds, whatever its worker does.
-- KEYS  keys.of_turn
-- Result: 1 when this ended it, else 0
-- Atomic: the end is the fence.
local record = redis.call('HMGET', KEYS[TURN], 'state', 'v')
if not record[1] or newer(record[2]) or ended(record[1]) then return 0 end
force_stopped()
return 1
