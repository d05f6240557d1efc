-- Admits one task, or says why not. One call, so that nothing can come between
-- the check of the limit and the write.
-- KEYS  1 task  2 pending  3 scheduled  4 retry
-- ARGV  1 asynq message  2 id  3 now in ns  4 start as Unix seconds or ""
--       5 queue limit  6 payload hash  7 queue  8 kind  9 now in ms  10 retention in s
-- returns {1} admitted, {2} the same task is known, {-1} another task has the id,
--         {-2, waiting} the queue is full
local known = redis.call("HMGET", KEYS[1], "msg", "y_sha")
if known[1] then
  if known[2] == ARGV[6] then return {2} end
  return {-1}
end
local waiting = redis.call("LLEN", KEYS[2]) + redis.call("ZCARD", KEYS[3]) + redis.call("ZCARD", KEYS[4])
if waiting >= tonumber(ARGV[5]) then return {-2, waiting} end
local state = "pending"
if ARGV[4] ~= "" then state = "scheduled" end
redis.call("HSET", KEYS[1], "msg", ARGV[1], "state", state,
  "y_sha", ARGV[6], "y_kind", ARGV[8], "y_enq", ARGV[9], "y_ret", ARGV[10])
if state == "scheduled" then
  redis.call("ZADD", KEYS[3], ARGV[4], ARGV[2])
  return {1}
end
redis.call("HSET", KEYS[1], "pending_since", ARGV[3])
-- Only the first task of an empty queue is announced: whoever is awake
-- looks until the queue is empty.
if redis.call("LPUSH", KEYS[2], ARGV[2]) == 1 then
  redis.call("PUBLISH", "jobyard:wake", ARGV[7])
end
return {1}
