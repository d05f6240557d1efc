-- Puts a dead letter back into its queue, or deletes it.
-- KEYS  1 task  2 archived  3 pending
-- ARGV  1 id  2 queue  3 now in ns  4 replay or delete
-- returns 1 done, 0 it is no dead letter
if redis.call("ZREM", KEYS[2], ARGV[1]) == 0 then return 0 end
if ARGV[4] == "delete" then
  redis.call("DEL", KEYS[1])
  return 1
end
redis.call("HDEL", KEYS[1], "y_final", "y_crash", "y_fin", "y_reason", "y_msg", "y_again", "y_fields")
redis.call("HSET", KEYS[1], "state", "pending", "pending_since", ARGV[3])
if redis.call("LPUSH", KEYS[3], ARGV[1]) == 1 then redis.call("PUBLISH", "jobyard:wake", ARGV[2]) end
return 1
