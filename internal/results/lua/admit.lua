-- Admits tasks of one queue, or says of each why not. One call, so that nothing
-- can come between the check of the limit and the writes.
-- KEYS  1 pending
-- ARGV  1 queue  2 queue limit  3 now in ns  4 arguments of each task, then for each task
--       id, message; and if there are more than two
--       mark, start as Unix seconds or "", retention in s, what is kept beside the message
--       or "", how many tasks of a batch it stands for or ""; and if there are more than seven
--       where the result of an equal task may lie in Redis or "", the result or "" to look,
--       the tier it is from, what the message of a completed task ends with
--       The mark is 22 characters that tell tasks of other work apart, and now in ms. A
--       task under an id of the client's own has none: nobody else knows the id yet, and
--       the id tells when it was made.
-- returns 1 if all are admitted; else for each task 1 admitted, 2 the same task is
--         known, 3 completed with the result of an equal task, 4 a task without a mark
--         has the id, -1 another task has the id, -2 the queue is full; and last how many
--         tasks wait and how many attempts have ended so far
local queue = "asynq:{" .. ARGV[1] .. "}:"
local scheduled, retry = queue .. "scheduled", queue .. "retry"

-- Mostly all are new and there is room for them. Then they are written at once, and
-- the length of the queue that comes of it is compared with the limit: the client
-- sends tasks in this short form only if they start now, and to queues that it was not
-- just told are full, so that it is seldom undone. A single task, as most are, needs no
-- tables.
if #ARGV == 6 then
  local key = queue .. "t:" .. ARGV[5]
  if redis.call("EXISTS", key, scheduled, retry) == 0 then
    redis.call("HSET", key, "msg", ARGV[6], "state", "pending", "pending_since", ARGV[3])
    local length = redis.call("LPUSH", KEYS[1], ARGV[5])
    if length <= tonumber(ARGV[2]) then
      if length == 1 then redis.call("PUBLISH", "jobyard:wake", ARGV[1]) end
      return 1
    end
    redis.call("LPOP", KEYS[1])
    redis.call("DEL", key)
  end
end

local prefix, limit, now, each = queue .. "t:", tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
if each == 2 and #ARGV > 6 then
  local keys, ids = {}, {}
  for at = 5, #ARGV, 2 do
    ids[#ids + 1] = ARGV[at]
    keys[#keys + 1] = prefix .. ARGV[at]
  end
  if redis.call("EXISTS", scheduled, retry, unpack(keys)) == 0 then
    for i = 1, #keys do
      redis.call("HSET", keys[i], "msg", ARGV[2 * i + 4], "state", "pending", "pending_since", now)
    end
    local length = redis.call("LPUSH", KEYS[1], unpack(ids))
    if length <= limit then
      if length == #ids then redis.call("PUBLISH", "jobyard:wake", ARGV[1]) end
      return 1
    end
    redis.call("LTRIM", KEYS[1], #ids, -1)
    redis.call("DEL", unpack(keys))
  end
end

local waiting = redis.call("LLEN", KEYS[1])
if redis.call("EXISTS", scheduled, retry) > 0 then
  waiting = waiting + redis.call("ZCARD", scheduled) + redis.call("ZCARD", retry)
end

-- The result of an equal task, if there is one that a record can hold. Its header
-- is that of the cache; what it is worth was checked when it came in, and is again
-- when it is unpacked.
local function found(at)
  if each <= 7 then return nil end
  if ARGV[at + 8] ~= "" then return ARGV[at + 8], ARGV[at + 9] end
  if ARGV[at + 7] == "" then return nil end
  local size = redis.pcall("STRLEN", ARGV[at + 7])
  if type(size) ~= "number" or size <= 20 or size > 65556 then return nil end
  local value = redis.call("GET", ARGV[at + 7])
  local form = string.sub(value, 1, 4)
  if form ~= "JYCr" and form ~= "JYCz" then return nil end
  return string.sub(value, 21), "redis"
end

local function complete(at, key, id, result, tier)
  local mark, ret = ARGV[at + 2], tonumber(ARGV[at + 4])
  local ms = string.sub(mark, 23)
  redis.call("HSET", key, "msg", ARGV[at + 1] .. ARGV[at + 10], "state", "completed", "y_final", "completed", "y_in", mark,
    "y_ret", ret, "y_fin", ms, "y_cached", tier, "result", result)
  redis.call("ZADD", queue .. "completed", math.floor(ms / 1000) + ret, id)
  redis.call("HINCRBY", "jobyard:cache:{" .. ARGV[1] .. "}:answered", tier, 1)
  redis.call("PUBLISH", "jobyard:done", id)
end

local answers, ids, all = {}, {}, true
for at = 5, #ARGV, each do
  local id, mark = ARGV[at], each > 2 and ARGV[at + 2]
  local key, answer = prefix .. id, 1
  local result, tier = found(at)
  if redis.call("EXISTS", key) == 1 then
    local known = redis.pcall("HGET", key, "y_in")
    if not mark then
      answer = 2 -- this very call came in before
    elseif type(known) == "string" then
      answer = string.sub(known, 1, 22) == string.sub(mark, 1, 22) and 2 or -1
    else
      answer = known and -1 or 4
    end
  elseif result then
    complete(at, key, id, result, tier)
    answer = 3
  elseif waiting >= limit then
    answer = -2
  elseif mark and ARGV[at + 3] ~= "" then
    redis.call("HSET", key, "msg", ARGV[at + 1], "state", "scheduled")
    redis.call("ZADD", scheduled, ARGV[at + 3], id)
    waiting = waiting + 1
  else
    redis.call("HSET", key, "msg", ARGV[at + 1], "state", "pending", "pending_since", now)
    ids[#ids + 1] = id
    waiting = waiting + 1
  end
  if answer ~= 1 then
    all = false
  elseif mark then
    redis.call("HSET", key, "y_in", mark, "y_ret", ARGV[at + 4])
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
