-- Refers to a blob: from here on it is not swept, also if its bytes come later.
-- KEYS  1 blob  2 references
-- ARGV  1 reference  2 "1" if only a blob that is there may be referred to
-- returns {"bytes" if it is there, its file's name if it lies in one, else "";
--         now in ms}
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local there = redis.call("GETRANGE", KEYS[1], 0, 255)
if there ~= "" and string.sub(there, 1, 5) ~= "file:" then there = "bytes" end
if there ~= "" or ARGV[2] ~= "1" then redis.call("ZADD", KEYS[2], now, ARGV[1]) end
return {there, now}
