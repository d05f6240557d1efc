-- Notes that an endpoint wants to hear when something ends.
-- KEYS  1 endpoints  2 watch  3 open
-- ARGV  1 what ("t id" or "b id")  2 endpoint  3 when to look, in ms  4 how many at most
--       5 where in a trace it is handed over, or ""
-- returns 1 noted, 0 no such endpoint, -1 too many
if redis.call("HEXISTS", KEYS[1], ARGV[2]) == 0 then return 0 end
if redis.call("HEXISTS", KEYS[2], ARGV[1]) == 0 and redis.call("HLEN", KEYS[2]) >= tonumber(ARGV[4]) then return -1 end
redis.call("HSET", KEYS[2], ARGV[1], ARGV[5] == "" and ARGV[2] or ARGV[2] .. " " .. ARGV[5])
redis.call("ZADD", KEYS[3], ARGV[3], ARGV[1])
return 1
