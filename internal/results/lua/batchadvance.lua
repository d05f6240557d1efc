-- Notes how many units of a batch are queued by now. After the last one, or
-- when the batch was canceled, it is open: nothing more is queued.
-- KEYS  1 batch
-- ARGV  1 units queued  2 "1" if these are all  3 now in ms
-- returns 0 go on, 1 it is open, 2 open and all done, 3 open and canceled,
--         -1 somebody else has opened it
local known = redis.call("HMGET", KEYS[1], "state", "cancel", "done", "total")
if known[1] ~= "creating" then return -1 end
redis.call("HSET", KEYS[1], "at", ARGV[1], "touched", ARGV[3])
if not known[2] and ARGV[2] ~= "1" then return 0 end
redis.call("HSET", KEYS[1], "state", "open")
redis.call("HDEL", KEYS[1], "spec")
if known[2] then return 3 end
return known[3] == known[4] and 2 or 1
