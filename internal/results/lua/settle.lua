-- Ends an attempt: result and acknowledgement in one step, so that no task is
-- committed twice and none is finished without its result.
-- KEYS  1 task  2 active  3 lease  4 pending  5 retry  6 completed  7 archived
--       8 processed of the day  9 failed of the day  10 processed  11 failed
-- ARGV  1 id  2 fence, 0 for any  3 mode  4 asynq message or ""  5 score
--       6 end of the day's counters  7 now in ms  8 result  9 peak memory
--       10 reason  11 message  12 retryable  13 fields  14 queue
-- modes complete, cancel, retry, archive, requeue (not counted as an attempt)
-- returns 1 settled, 3 settled for good and of a batch, 2 was settled before,
--         0 the task is gone, -1 a later attempt owns it
local id, mode = ARGV[1], ARGV[3]
local known = redis.call("HMGET", KEYS[1], "msg", "y_fence", "y_final", "y_cancel", "y_ret", "y_batch")
if not known[1] then
  redis.call("LREM", KEYS[2], 0, id)
  redis.call("ZREM", KEYS[3], id)
  return 0
end
if ARGV[2] ~= "0" and known[2] ~= ARGV[2] then return -1 end
if known[3] then return 2 end
-- What was canceled is not run again, however its attempt ended.
if known[4] and mode ~= "complete" then mode = "cancel" end
if redis.call("LREM", KEYS[2], 0, id) == 0 then
  if ARGV[2] == "0" then return 2 end
  -- It was handed back, but nobody took it yet: this attempt still counts.
  redis.call("LREM", KEYS[4], 0, id)
  redis.call("ZREM", KEYS[5], id)
end
redis.call("ZREM", KEYS[3], id)
if ARGV[4] ~= "" then redis.call("HSET", KEYS[1], "msg", ARGV[4]) end
if ARGV[9] ~= "0" then redis.call("HSET", KEYS[1], "y_peak", ARGV[9]) end

local function count(day, total)
  if redis.call("INCR", day) == 1 then redis.call("EXPIREAT", day, ARGV[6]) end
  redis.call("INCR", total)
end
local function failure()
  redis.call("HSET", KEYS[1], "y_reason", ARGV[10], "y_msg", ARGV[11], "y_again", ARGV[12], "y_fields", ARGV[13])
end

if mode == "requeue" then
  redis.call("HSET", KEYS[1], "state", "pending")
  redis.call("HINCRBY", KEYS[1], "y_att", -1)
  if redis.call("RPUSH", KEYS[4], id) == 1 then redis.call("PUBLISH", "jobyard:wake", ARGV[14]) end
  return 1
end
-- The tasks of a bundle were counted one by one.
if tonumber(known[6] or 0) <= 1 then count(KEYS[8], KEYS[10]) end
if mode == "retry" then
  redis.call("HSET", KEYS[1], "state", "retry")
  redis.call("ZADD", KEYS[5], ARGV[5], id)
  failure()
  count(KEYS[9], KEYS[11])
  return 1
end
redis.call("HSET", KEYS[1], "y_fin", ARGV[7])
if mode == "complete" then
  redis.call("HSET", KEYS[1], "state", "completed", "y_final", "completed", "result", ARGV[8])
  redis.call("HDEL", KEYS[1], "y_reason", "y_msg", "y_again", "y_fields", "y_payload")
  redis.call("ZADD", KEYS[6], ARGV[5], id)
elseif mode == "cancel" then
  redis.call("HSET", KEYS[1], "state", "completed", "y_final", "canceled",
    "y_reason", "canceled", "y_msg", "canceled by a caller", "y_again", "0", "y_fields", "")
  redis.call("ZADD", KEYS[6], math.floor(ARGV[7] / 1000) + tonumber(known[5] or 86400), id)
else
  redis.call("HSET", KEYS[1], "state", "archived", "y_final", "archived")
  failure()
  redis.call("ZADD", KEYS[7], ARGV[5], id)
  count(KEYS[9], KEYS[11])
end
redis.call("PUBLISH", "jobyard:done", id)
return known[6] and 3 or 1
