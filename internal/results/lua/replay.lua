-- replay
-- Puts a dead letter back into its queue as if it had never been tried, or
-- deletes it.
-- KEYS  1 task  2 archived  3 pending  4 scheduled  5 retry  6 processed
-- ARGV  1 id  2 queue  3 fence of the letter's last attempt, or "*" for any
--       4 replay or delete; and for a replay
--       5 queue limit  6 now in ns  7 now in ms  8 asynq message
--       9 the payload's mark, or "" if the payload stays
--       10 payload if it is not in the message, or ""  11 retention in s, or ""
-- returns {1} done, {0} it is no dead letter (any more), {-2, how many tasks wait,
--         how many attempts have ended} the queue is full
if not redis.call("ZSCORE", KEYS[2], ARGV[1]) then return {0} end
local known = redis.call("HMGET", KEYS[1], "y_fence", "y_reason", "y_re")
if ARGV[3] ~= "*" and (known[1] or "") ~= ARGV[3] then return {0} end
if ARGV[4] == "delete" then
  redis.call("ZREM", KEYS[2], ARGV[1])
  redis.call("DEL", KEYS[1])
  return {1}
end
local waiting = redis.call("LLEN", KEYS[3]) + redis.call("ZCARD", KEYS[4]) + redis.call("ZCARD", KEYS[5])
if waiting >= tonumber(ARGV[5]) then
  return {-2, waiting, tonumber(redis.call("GET", KEYS[6]) or 0)}
end
redis.call("ZREM", KEYS[2], ARGV[1])
-- The fence stays: it only grows.
redis.call("HDEL", KEYS[1], "y_final", "y_crash", "y_att", "y_start", "y_node", "y_peak", "y_fin", "y_cancel", "y_prog",
  "y_reason", "y_msg", "y_again", "y_fields")
local times = tonumber(string.match(known[3] or "", "^%d+") or 0) + 1
redis.call("HSET", KEYS[1], "msg", ARGV[8], "state", "pending", "pending_since", ARGV[6],
  "y_re", times .. " " .. ARGV[7] .. " " .. (known[2] or ""))
if ARGV[9] ~= "" then
  local was = redis.call("HGET", KEYS[1], "y_in") or ""
  redis.call("HSET", KEYS[1], "y_in", ARGV[9] .. string.sub(was, 23))
  if ARGV[10] ~= "" then redis.call("HSET", KEYS[1], "y_payload", ARGV[10]) else redis.call("HDEL", KEYS[1], "y_payload") end
end
if ARGV[11] ~= "" then redis.call("HSET", KEYS[1], "y_ret", ARGV[11]) end
if redis.call("LPUSH", KEYS[3], ARGV[1]) == 1 then redis.call("PUBLISH", "jobyard:wake", ARGV[2]) end
return {1}
