-- Makes a delivery of something watched that has ended, once.
-- KEYS  1 watch  2 open  3 due  4 the delivery
-- ARGV  1 what  2 delivery id  3 delivery  4 now in ms
-- returns 1 made, 0 it was made before
if redis.call("HDEL", KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call("ZREM", KEYS[2], ARGV[1])
redis.call("SET", KEYS[4], ARGV[3])
redis.call("ZADD", KEYS[3], ARGV[4], ARGV[2])
return 1
