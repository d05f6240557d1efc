-- Admits tasks of one queue, or says of each why not. One call, so that nothing
-- can come between the check of the limit and the writes.
-- KEYS  1 pending  2 scheduled  3 retry  4 processed, then each task's key
-- ARGV  1 queue  2 queue limit  3 now in ns  4 now in ms, then for each task
--       message, id, start as Unix seconds or "", payload hash, kind, retention in s,
--       payload if it is not in the message, how many tasks of a batch it stands for or ""
-- returns for each task 1 admitted, 2 the same task is known, -1 another task
--         has the id, -2 the queue is full; and last how many tasks wait and how
--         many attempts have ended so far
local waiting = redis.call("LLEN", KEYS[1]) + redis.call("ZCARD", KEYS[2]) + redis.call("ZCARD", KEYS[3])
local limit = tonumber(ARGV[2])
local answers, ids = {}, {}
for i = 5, #KEYS do
  local key, at = KEYS[i], 5 + (i - 5) * 8
  local msg, id, start, sum = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local known = redis.call("HMGET", key, "msg", "y_sha")
  local answer = 1
  if known[1] then
    answer = known[2] == sum and 2 or -1
  elseif waiting >= limit then
    answer = -2
  elseif start ~= "" then
    redis.call("HSET", key, "msg", msg, "state", "scheduled",
      "y_sha", sum, "y_kind", ARGV[at + 4], "y_enq", ARGV[4], "y_ret", ARGV[at + 5])
    redis.call("ZADD", KEYS[2], start, id)
    waiting = waiting + 1
  else
    redis.call("HSET", key, "msg", msg, "state", "pending", "pending_since", ARGV[3],
      "y_sha", sum, "y_kind", ARGV[at + 4], "y_enq", ARGV[4], "y_ret", ARGV[at + 5])
    ids[#ids + 1] = id
    waiting = waiting + 1
  end
  if answer == 1 and ARGV[at + 6] ~= "" then redis.call("HSET", key, "y_payload", ARGV[at + 6]) end
  if answer == 1 and ARGV[at + 7] ~= "" then redis.call("HSET", key, "y_batch", ARGV[at + 7]) end
  answers[#answers + 1] = answer
end
-- Only the first task of an empty queue is announced: whoever is awake
-- looks until the queue is empty.
if #ids > 0 and redis.call("LPUSH", KEYS[1], unpack(ids)) == #ids then
  redis.call("PUBLISH", "jobyard:wake", ARGV[1])
end
answers[#answers + 1] = waiting
answers[#answers + 1] = tonumber(redis.call("GET", KEYS[4]) or 0)
return answers
