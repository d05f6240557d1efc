-- Writes a whole batch in one step; from then on it runs, whatever becomes of
-- its producer.
-- KEYS  1 batch  2 map of its tasks
-- ARGV  1 hash of its content  2 its requests  3 map  4 tasks  5 kinds
--       6 now in ms  7 longest retention in s  8 callback or ""
--       9 where in a trace it is handed over, or ""
-- returns 1 created, 2 the same batch is known, -1 another batch has the id
local sum = redis.call("HGET", KEYS[1], "sha")
if sum then return sum == ARGV[1] and 2 or -1 end
redis.call("HSET", KEYS[1], "sha", ARGV[1], "state", "creating", "spec", ARGV[2], "total", ARGV[4], "kinds", ARGV[5],
  "created", ARGV[6], "touched", ARGV[6], "ret", ARGV[7], "callback", ARGV[8], "at", 0, "done", 0)
if ARGV[9] ~= "" then redis.call("HSET", KEYS[1], "trace", ARGV[9]) end
redis.call("SET", KEYS[2], ARGV[3])
return 1
