-- Counts tasks as unfinished ones of a key, unless that were too many.
-- KEYS  1 the key's open tasks: id to "weight queue ms", and their sum under ""
-- ARGV  1 id  2 weight  3 limit  4 queue or ""  5 now in ms  6 kept for ms
-- returns {1, sum} counted, {2, sum} was counted before, {0, sum} too many
local sum = tonumber(redis.call("HGET", KEYS[1], "") or 0)
if redis.call("HEXISTS", KEYS[1], ARGV[1]) == 1 then return {2, sum} end
if sum + tonumber(ARGV[2]) > tonumber(ARGV[3]) then return {0, sum} end
redis.call("HSET", KEYS[1], ARGV[1], ARGV[2] .. " " .. ARGV[4] .. " " .. ARGV[5])
sum = redis.call("HINCRBY", KEYS[1], "", ARGV[2])
redis.call("PEXPIRE", KEYS[1], ARGV[6])
return {1, sum}
