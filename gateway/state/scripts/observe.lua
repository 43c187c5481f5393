-- uses: log
-- One look at a turn's record.
-- KEYS  turn
-- Result: {} when it is gone | {state, attempt, last, owner or '', lease, overdue 0/1, ms left until the deadline}
-- Atomic: the deadline is judged by the server's clock at the moment of the read.
return observed(KEYS[1])
