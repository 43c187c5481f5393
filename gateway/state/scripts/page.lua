-- uses: log
-- Entries of a turn's log, and its record as it stood then.
-- KEYS  turn, log
-- ARGV  first id, how many
-- Result: {what observe answers, entries as XRANGE gives them}
-- Atomic: a turn that is seen as ended has its last entry in this page or a later one.
return { observed(KEYS[1]), redis.call('XRANGE', KEYS[2], ARGV[1], '+', 'COUNT', ARGV[2]) }
