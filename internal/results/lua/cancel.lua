-- Cancels a task that waits, or asks the node that runs it to stop.
-- KEYS  1 task  2 pending  3 scheduled  4 retry  5 completed
-- ARGV  1 id  2 now in ms  3 now in s  4 message
-- returns 1 canceled, 3 canceled and of a batch, 2 asked to stop, 0 no such task, -1 it is final already
local known = redis.call("HMGET", KEYS[1], "state", "y_final", "y_ret", "y_batch")
if not known[1] then return 0 end
if known[2] or known[1] == "completed" or known[1] == "archived" then return -1 end
if known[1] == "active" then
  redis.call("HSET", KEYS[1], "y_cancel", "1")
  redis.call("PUBLISH", "jobyard:cancel", ARGV[1])
  return 2
end
-- From the end that is taken next: a batch is canceled in its order.
redis.call("LREM", KEYS[2], -1, ARGV[1])
redis.call("ZREM", KEYS[3], ARGV[1])
redis.call("ZREM", KEYS[4], ARGV[1])
redis.call("HSET", KEYS[1], "state", "completed", "y_final", "canceled", "y_fin", ARGV[2],
  "y_reason", "canceled", "y_msg", ARGV[4], "y_again", "0")
redis.call("ZADD", KEYS[5], tonumber(ARGV[3]) + tonumber(known[3] or 86400), ARGV[1])
redis.call("PUBLISH", "jobyard:done", ARGV[1])
return known[4] and 3 or 1
