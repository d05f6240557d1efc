-- progress
-- Notes how far a running attempt is, and tells who watches.
-- KEYS  1 task
-- ARGV  1 id  2 fence  3 progress
-- returns 1, or 0 if the attempt is not the one that runs (any more)
local known = redis.call("HMGET", KEYS[1], "y_fence", "state", "y_att")
if known[1] ~= ARGV[2] or known[2] ~= "active" then return 0 end
redis.call("HSET", KEYS[1], "y_prog", (known[3] or "") .. " " .. ARGV[3])
redis.call("PUBLISH", "jobyard:progress", ARGV[1])
return 1
