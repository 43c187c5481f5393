-- uses: log version session
-- Begins a turn that belongs to no session (POST /generate_text).
-- KEYS  keys.of_turn (of a session that does not exist)
-- ARGV  turn id, entered ms, how old that may be, prompt, request (JSON), deadline ms from now, log ttl ms, traceparent
-- Result: 'BEGUN' | 'STALE'
-- Atomic: the record must appear whole.
if redis.call('EXISTS', KEYS[TURN]) == 1 then return 'BEGUN' end
local now = now_ms()
if now - tonumber(ARGV[2]) > tonumber(ARGV[3]) then return 'STALE' end
redis.call('HSET', KEYS[TURN], 'v', '1', 'id', ARGV[1], 'epoch', '', 'state', 'queued', 'attempt', '0', 'tries', '0',
  'lease', '0', 'last', '0-0', 'images', '', 'text', ARGV[4], 'request', ARGV[5], 'created', integer(now),
  'deadline', integer(now + ARGV[6]), 'keep', '0', 'ttl', integer(ARGV[6] + ARGV[7]), 'log_ttl', ARGV[7],
  'trace', ARGV[8])
redis.call('PEXPIRE', KEYS[TURN], integer(ARGV[6] + ARGV[7]))
return 'BEGUN'
