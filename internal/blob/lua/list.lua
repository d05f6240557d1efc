-- Lists a blob for the sweep before anything of it is written, so that nothing
-- is written that no sweep would find.
-- KEYS  1 due  2 yard
-- ARGV  1 blob  2 ms until the sweep looks  3 a name for the yard, if it has none
--       and needs one, else ""
-- returns {now in ms, the yard's name}
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call("ZADD", KEYS[1], now + ARGV[2], ARGV[1])
if ARGV[3] ~= "" then redis.call("SETNX", KEYS[2], ARGV[3]) end
return {now, redis.call("GETRANGE", KEYS[2], 0, 63)}
