-- uses: log version session
-- Opens a session, unless it is open already (a retried command, or two first calls with one cookie).
-- KEYS  keys.of_session
-- ARGV  epoch, ttl ms
-- Result: the session's epoch
-- Atomic: two creators must end with one epoch.
redis.call('HSETNX', KEYS[SESSION], 'epoch', ARGV[1])
redis.call('HSETNX', KEYS[SESSION], 'created', integer(now_ms()))
redis.call('HSETNX', KEYS[SESSION], 'v', '1')
touch(ARGV[2])
return redis.call('HGET', KEYS[SESSION], 'epoch')
