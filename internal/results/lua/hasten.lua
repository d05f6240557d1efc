-- Makes a task due that waits for its time.
-- KEYS  1 task  2 scheduled  3 retry  4 pending
-- ARGV  1 id  2 queue  3 now in ns
-- returns 1 done, 0 it does not wait for its time
if redis.call("ZREM", KEYS[2], ARGV[1]) + redis.call("ZREM", KEYS[3], ARGV[1]) == 0 then return 0 end
redis.call("HSET", KEYS[1], "state", "pending", "pending_since", ARGV[3])
if redis.call("LPUSH", KEYS[4], ARGV[1]) == 1 then redis.call("PUBLISH", "jobyard:wake", ARGV[2]) end
return 1
