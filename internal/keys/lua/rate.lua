-- Lets a request of a key pass, or says how long to wait (GCRA: one number, the
-- time at which its allowance would be whole again).
-- KEYS  1 the key's rate
-- ARGV  1 requests a second  2 how many may come at once
-- returns 0 to pass, or the wait in microseconds
local t = redis.call("TIME")
local now = t[1] * 1000000 + t[2]
local each = 1000000 / tonumber(ARGV[1])
local whole = math.max(now, tonumber(redis.call("GET", KEYS[1]) or 0)) + each
local wait = whole - now - each * tonumber(ARGV[2])
if wait > 0 then return math.ceil(wait) end
redis.call("SET", KEYS[1], string.format("%.0f", whole), "PX", math.ceil((whole - now) / 1000) + 1000)
return 0
