-- Takes references from a blob, and deletes it with its last one. Both keys
-- have one slot, so no reference can come between the count and the deletion.
-- KEYS  1 blob  2 references
-- ARGV  1 ms that an uploaded blob is kept without a task  2 its reference,
--       then the references to take away
-- returns {2 deleted, 1 kept, 0 there was nothing; the file it lay in or ""}
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for i = 3, #ARGV do redis.call("ZREM", KEYS[2], ARGV[i]) end
local uploaded = redis.call("ZSCORE", KEYS[2], ARGV[2])
if uploaded and now - uploaded > tonumber(ARGV[1]) then redis.call("ZREM", KEYS[2], ARGV[2]) end
if redis.call("ZCARD", KEYS[2]) > 0 then return {1, ""} end
local there = redis.call("GETRANGE", KEYS[1], 0, 255)
if redis.call("UNLINK", KEYS[1]) == 0 then return {0, ""} end
if string.sub(there, 1, 5) ~= "file:" then there = "" end
return {2, there}
