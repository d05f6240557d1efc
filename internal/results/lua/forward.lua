-- Moves tasks whose time has come to pending, at most 100 of each list a call.
-- KEYS  1 scheduled  2 retry  3 pending
-- ARGV  1 now in s  2 task key prefix  3 now in ns  4 queue
-- returns how many were moved
local moved = 0
for list = 1, 2 do
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", KEYS[list], "-inf", ARGV[1], "LIMIT", 0, 100)) do
    redis.call("ZREM", KEYS[list], id)
    redis.call("HSET", ARGV[2] .. id, "state", "pending", "pending_since", ARGV[3])
    if redis.call("LPUSH", KEYS[3], id) == 1 then
      redis.call("PUBLISH", "jobyard:wake", ARGV[4])
    end
    moved = moved + 1
  end
end
return moved
