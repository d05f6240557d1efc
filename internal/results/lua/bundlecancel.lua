-- Cancels one task of a bundle.
-- KEYS  1 bundle
-- ARGV  1 number of the task  2 its record  3 batch
-- returns 1 canceled, 0 no such bundle, -1 it is final already, -2 it went on alone
local name = "i:" .. ARGV[1]
local known = redis.call("HMGET", KEYS[1], "state", "y_final", name, "y_skip")
if not known[1] then return 0 end
if known[3] == "alone" then return -2 end
if known[2] or known[3] then return -1 end
redis.call("HSET", KEYS[1], name, ARGV[2], "y_skip", (known[4] or "") .. ARGV[1] .. ",")
redis.call("HINCRBY", KEYS[1], "y_canceled", 1)
redis.call("PUBLISH", "jobyard:done", ARGV[3] .. " " .. ARGV[1])
if known[1] == "active" then redis.call("PUBLISH", "jobyard:cancel", ARGV[3] .. "." .. ARGV[1]) end
return 1
