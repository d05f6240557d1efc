-- Says in which file a blob lies, unless somebody else has said so meanwhile.
-- KEYS  1 blob
-- ARGV  1 what the refer script said  2 the file's name  3 when its name was
--       made, in ms  4 how old that may be
-- returns 1 done, 0 somebody else was first, -1 too late: the file may be swept
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if now - ARGV[3] > tonumber(ARGV[4]) then return -1 end
local there = redis.call("GETRANGE", KEYS[1], 0, 255)
if there ~= "" and string.sub(there, 1, 5) ~= "file:" then there = "bytes" end
if there ~= ARGV[1] then return 0 end
redis.call("SET", KEYS[1], ARGV[2])
return 1
