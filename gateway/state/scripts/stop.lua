-- uses: log version session ending
-- Asks a turn to stop; a waiting one is ended here and now.
-- KEYS  keys.of_turn
-- Result: 'ENDED' (had ended, or is gone) | 'STOPPED' | 'ASKED'
-- Atomic: between a look and an end a worker could claim; between the flag and the word to its worker, the asker could die.
local record = redis.call('HMGET', KEYS[TURN], 'state', 'owner', 'v')
if newer(record[3]) then error('the turn is of a version to come') end
if not record[1] or ended(record[1]) then return 'ENDED' end
if record[1] == 'queued' then
  force_stopped()
  return 'STOPPED'
end
redis.call('HSET', KEYS[TURN], 'stop', '1')
wake(KEYS[TURN], record[2])
return 'ASKED'
