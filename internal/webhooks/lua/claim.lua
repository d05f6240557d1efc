-- Takes what is due for one deliverer: nobody else takes it until its lease
-- has ended.
-- KEYS  1 the ids by time
-- ARGV  1 now in ms  2 end of the lease in ms  3 how many
-- returns the ids
local ids = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", ARGV[1], "LIMIT", 0, ARGV[3])
for _, id in ipairs(ids) do redis.call("ZADD", KEYS[1], ARGV[2], id) end
return ids
