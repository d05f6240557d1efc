-- Ends attempts of one queue: result and acknowledgement in one step, so that no
-- task is committed twice and none is finished without its result.
-- KEYS  1 active  2 pending  3 retry  4 completed  5 archived
--       6 processed of the day  7 failed of the day  8 processed  9 failed
-- ARGV  1 queue  2 task key prefix  3 end of the day's counters  4 now in ms
--       5 arguments of each attempt, then for each
--       id, fence, asynq message or "", score, result; and if there are more than five
--       mode, peak memory, reason, message, retryable, fields, tier of the cache or ""
--       A fence of 0 is any. modes complete (also where none is given), cancel,
--       retry, archive, requeue (not counted as an attempt)
-- returns 1 if all are settled; else for each 1 settled, 3 settled for good and of a
--         batch, 2 was settled before, 0 the task is gone, -1 a later attempt owns it
local queue, prefix, now, each = ARGV[1], ARGV[2], ARGV[4], tonumber(ARGV[5])
local codes, all, done, failed, ended = {}, true, 0, 0, {}
local completed = {}

local function till(score, retention)
  if score ~= "0" then return score end
  return math.floor(now / 1000) + tonumber(retention or 86400)
end

local function settle(at)
  local id, fence = ARGV[at], ARGV[at + 1]
  local key, mode = prefix .. id, each > 5 and ARGV[at + 5] or "complete"
  local known = redis.call("HMGET", key, "state", "y_fence", "y_final", "y_cancel", "y_ret", "y_batch", "y_att")
  if not known[1] then
    redis.call("LREM", KEYS[1], 0, id)
    return 0
  end
  if fence ~= "0" and known[2] ~= fence then return -1 end
  if known[3] then return 2 end
  -- What was canceled is not run again, however its attempt ended.
  if known[4] and mode ~= "complete" then mode = "cancel" end
  if redis.call("LREM", KEYS[1], -1, id) == 0 then
    if fence == "0" or mode == "requeue" then return 2 end
    -- It was handed back, but nobody took it yet: this attempt still counts.
    redis.call("LREM", KEYS[2], 0, id)
    redis.call("ZREM", KEYS[3], id)
  end
  if mode == "requeue" then
    redis.call("HSET", key, "state", "pending", "y_att", (known[7] or 1) - 1)
    if redis.call("RPUSH", KEYS[2], id) == 1 then redis.call("PUBLISH", "jobyard:wake", queue) end
    return 1
  end

  local set = {"state", "completed"}
  local function put(name, value) set[#set + 1] = name; set[#set + 1] = value end
  if ARGV[at + 2] ~= "" then put("msg", ARGV[at + 2]) end
  if each > 5 and ARGV[at + 6] ~= "0" then put("y_peak", ARGV[at + 6]) end
  -- The tasks of a bundle were counted one by one.
  local alone = tonumber(known[6] or 0) <= 1
  if alone then done = done + 1 end
  if mode == "retry" or mode == "archive" then
    put("y_reason", ARGV[at + 7]); put("y_msg", ARGV[at + 8]); put("y_again", ARGV[at + 9]); put("y_fields", ARGV[at + 10])
    failed = failed + 1
  end
  if mode == "retry" then
    set[2] = "retry"
    redis.call("ZADD", KEYS[3], ARGV[at + 3], id)
    redis.call("HSET", key, unpack(set))
    return 1
  end
  put("y_fin", now)
  if mode == "complete" then
    put("y_final", "completed")
    put("result", ARGV[at + 4])
    if each > 5 and ARGV[at + 11] ~= "" then put("y_cached", ARGV[at + 11]) end
    completed[#completed + 1] = till(ARGV[at + 3], known[5])
    completed[#completed + 1] = id
    redis.call("HDEL", key, "y_payload", "y_reason", "y_msg", "y_again", "y_fields")
  elseif mode == "cancel" then
    put("y_final", "canceled")
    put("y_reason", "canceled"); put("y_msg", "canceled by a caller"); put("y_again", "0"); put("y_fields", "")
    completed[#completed + 1] = till("0", known[5])
    completed[#completed + 1] = id
  else
    set[2] = "archived"
    put("y_final", "archived")
    redis.call("ZADD", KEYS[5], ARGV[at + 3], id)
  end
  redis.call("HSET", key, unpack(set))
  ended[#ended + 1] = id
  return known[6] and 3 or 1
end

for at = 6, #ARGV, each do
  local code = settle(at)
  codes[#codes + 1] = code
  if code ~= 1 then all = false end
end
local function count(n, day, total)
  if n == 0 then return end
  if redis.call("INCRBY", day, n) == n then redis.call("EXPIREAT", day, ARGV[3]) end
  redis.call("INCRBY", total, n)
end
if #completed > 0 then redis.call("ZADD", KEYS[4], unpack(completed)) end
count(done, KEYS[6], KEYS[8])
count(failed, KEYS[7], KEYS[9])
if #ended > 0 then redis.call("PUBLISH", "jobyard:done", table.concat(ended, ",")) end
if all then return 1 end
return codes
