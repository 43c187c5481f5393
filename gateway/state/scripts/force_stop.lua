-- uses: log session ending
-- Ends a turn as stopped from the text its log holds, whatever its worker does.
-- KEYS  keys.of_turn
-- Result: 1 when this ended it, else 0
-- Atomic: the end is the fence.
local state = redis.call('HGET', KEYS[TURN], 'state')
if not state or ended(state) then return 0 end
force_stopped()
return 1
