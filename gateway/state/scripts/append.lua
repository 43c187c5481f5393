-- uses: log
-- Adds text to a running turn's log.
-- KEYS  turn, log
-- ARGV  claim token, entry id, id of the entry before, frame, cumulative usage ('in out total') or ''
-- Result: 'OK' | 'DUP' | {'GAP', last id} | 'FENCED' | 'ENDED' | 'GONE'
-- Atomic: the checks, the entry and its publication are one, or a reader could see what the log lacks.
local record = redis.call('HMGET', KEYS[1], 'state', 'owner', 'last')
if not record[1] then return 'GONE' end
if ended(record[1]) then
  -- A whole answer sent twice, its end included: each of its entries is known.
  local own = split(ARGV[2]) == split(record[3])
  return own and known(KEYS[2], ARGV[2], ARGV[4]) and 'DUP' or 'ENDED'
end
if record[1] ~= 'running' or record[2] ~= ARGV[1] then return 'FENCED' end
if ARGV[3] ~= record[3] then
  local attempt, seq = split(ARGV[2])
  local last_attempt, last_seq = split(record[3])
  if attempt < last_attempt then return 'FENCED' end
  if attempt == last_attempt and seq <= last_seq then return 'DUP' end
  return { 'GAP', record[3] }
end
write(KEYS[1], KEYS[2], ARGV[2], ARGV[4], ARGV[5])
return 'OK'
