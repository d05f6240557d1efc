-- Admits tasks of one queue, or says of each why not. One call, so that nothing
-- can come between the check of the limit and the writes.
-- KEYS  1 pending
-- ARGV  1 queue  2 queue limit  3 now in ns  4 arguments of each task, then for each task
--       id, message, mark; and if there are more than three
--       start as Unix seconds or "", retention in s, what is kept beside the message
--       or "", how many tasks of a batch it stands for or ""
--       The mark is 22 characters that tell tasks of other work apart, and now in ms.
-- returns 1 if all are admitted; else for each task 1 admitted, 2 the same task is
--         known, -1 another task has the id, -2 the queue is full; and last how many
--         tasks wait and how many attempts have ended so far
local queue = "asynq:{" .. ARGV[1] .. "}:"
local prefix, limit, now, each = queue .. "t:", tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local scheduled, retry = queue .. "scheduled", queue .. "retry"
local waiting = redis.call("LLEN", KEYS[1])
if redis.call("EXISTS", scheduled, retry) > 0 then
  waiting = waiting + redis.call("ZCARD", scheduled) + redis.call("ZCARD", retry)
end
local answers, ids, all = {}, {}, true
for at = 5, #ARGV, each do
  local id, mark = ARGV[at], ARGV[at + 2]
  local key, answer = prefix .. id, 1
  if redis.call("EXISTS", key) == 1 then
    local known = redis.call("HGET", key, "y_in")
    answer = known and string.sub(known, 1, 22) == string.sub(mark, 1, 22) and 2 or -1
  elseif waiting >= limit then
    answer = -2
  elseif each > 3 and ARGV[at + 3] ~= "" then
    redis.call("HSET", key, "msg", ARGV[at + 1], "state", "scheduled", "y_in", mark)
    redis.call("ZADD", scheduled, ARGV[at + 3], id)
    waiting = waiting + 1
  else
    redis.call("HSET", key, "msg", ARGV[at + 1], "state", "pending", "pending_since", now, "y_in", mark)
    ids[#ids + 1] = id
    waiting = waiting + 1
  end
  if answer ~= 1 then
    all = false
  elseif each > 3 then
    redis.call("HSET", key, "y_ret", ARGV[at + 4])
    if ARGV[at + 5] ~= "" then redis.call("HSET", key, "y_payload", ARGV[at + 5]) end
    if ARGV[at + 6] ~= "" then redis.call("HSET", key, "y_batch", ARGV[at + 6]) end
  end
  answers[#answers + 1] = answer
end
-- Only the first task of an empty queue is announced: whoever is awake
-- looks until the queue is empty.
if #ids > 0 and redis.call("LPUSH", KEYS[1], unpack(ids)) == #ids then
  redis.call("PUBLISH", "jobyard:wake", ARGV[1])
end
if all then return 1 end
answers[#answers + 1] = waiting
answers[#answers + 1] = tonumber(redis.call("GET", queue .. "processed") or 0)
return answers
