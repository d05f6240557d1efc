-- Moves tasks whose time has come to pending, at most 100 a call.
-- KEYS  1 scheduled or retry  2 pending
-- ARGV  1 now in s  2 task key prefix  3 now in ns  4 queue
-- returns how many were moved
local ids = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", ARGV[1], "LIMIT", 0, 100)
for _, id in ipairs(ids) do
  redis.call("ZREM", KEYS[1], id)
  redis.call("HSET", ARGV[2] .. id, "state", "pending", "pending_since", ARGV[3])
  if redis.call("LPUSH", KEYS[2], id) == 1 then
    redis.call("PUBLISH", "jobyard:wake", ARGV[4])
  end
end
return #ids
