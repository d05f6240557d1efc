-- Ends a batch whose callback is queued: it is kept as long as its results.
-- KEYS  1 batch  2 map  3 bits of the final units  4 bits of the tasks that left their bundle
-- ARGV  1 batch  2 seconds to keep it
if redis.call("EXISTS", KEYS[1]) == 0 then return 0 end
redis.call("HSET", KEYS[1], "state", "finished")
for i = 1, 4 do redis.call("EXPIRE", KEYS[i], ARGV[2]) end
redis.call("PUBLISH", "jobyard:done", ARGV[1])
return 1
