-- Takes a task back from a node that is gone. No retry is spent; a task that
-- was running when several nodes went away is put aside.
-- KEYS  1 task  2 active  3 lease  4 pending  5 archived  6 completed
-- ARGV  1 id  2 fence  3 queue  4 crashes that are one too many  5 now in ms  6 memory last seen, in bytes
-- returns 1 handed back, 2 put aside, 3 ended by its cancel, 0 nothing to do
local known = redis.call("HMGET", KEYS[1], "state", "y_fence", "y_cancel", "y_node", "y_ret", "y_peak")
if known[1] ~= "active" or known[2] ~= ARGV[2] then return 0 end
local id, now = ARGV[1], ARGV[5]
redis.call("LREM", KEYS[2], 0, id)
redis.call("ZREM", KEYS[3], id)
redis.call("HINCRBY", KEYS[1], "y_att", -1)
if tonumber(ARGV[6]) > tonumber(known[6] or 0) then redis.call("HSET", KEYS[1], "y_peak", ARGV[6]) end
if known[3] then
  redis.call("HSET", KEYS[1], "state", "completed", "y_final", "canceled", "y_fin", now,
    "y_reason", "canceled", "y_msg", "canceled by a caller", "y_again", "0")
  redis.call("ZADD", KEYS[6], math.floor(now / 1000) + tonumber(known[5] or 86400), id)
  redis.call("PUBLISH", "jobyard:done", id)
  return 3
end
if redis.call("HINCRBY", KEYS[1], "y_crash", 1) >= tonumber(ARGV[4]) then
  redis.call("HSET", KEYS[1], "state", "archived", "y_final", "archived", "y_fin", now, "y_reason", "crash",
    "y_msg", "its worker died " .. ARGV[4] .. " times while it ran, last " .. (known[4] or "?"), "y_again", "0")
  redis.call("ZADD", KEYS[5], math.floor(now / 1000), id)
  redis.call("PUBLISH", "jobyard:done", id)
  return 2
end
redis.call("HSET", KEYS[1], "state", "pending")
if redis.call("RPUSH", KEYS[4], id) == 1 then redis.call("PUBLISH", "jobyard:wake", ARGV[3]) end
return 1
