-- Commits tasks of a running bundle, and makes tasks of their own of those that
-- go on alone. A task that has a record keeps it; a late attempt is refused.
-- KEYS  1 bundle  2 pending  3 retry  4 archived  5 completed  6 processed of the day
--       7 failed of the day  8 processed  9 failed, then the key of each task that goes alone
-- ARGV  1 fence  2 now in ms  3 queue  4 batch  5 end of the day's counters
--       6 number and start of the task that runs, or ""  7 how many records, then for each
--       number, state, record; and for each task that goes alone: number, id, asynq message,
--       state (pending, retry, archived, completed), score, payload hash, start in ms,
--       reason, message, retryable, fields, result, tier of the cache or ""
-- returns {1 written, 2 written but the bundle was canceled, -1 a later attempt
--         owns it; numbers of the tasks canceled one by one}
local known = redis.call("HMGET", KEYS[1], "y_fence", "y_final", "y_cancel", "y_skip", "y_in", "y_ret", "y_node", "y_alone")
if known[1] ~= ARGV[1] or known[2] then return {-1, ""} end
local now, records, each, first = ARGV[2], tonumber(ARGV[7]), 13, 10
local alone = #KEYS - first + 1
local names = {}
for r = 0, records - 1 do names[#names + 1] = "i:" .. ARGV[8 + 3 * r] end
local from = 8 + 3 * records
for k = 0, alone - 1 do names[#names + 1] = "i:" .. ARGV[from + each * k] end
local old = #names > 0 and redis.call("HMGET", KEYS[1], unpack(names)) or {}

local sets, ended, ran, failed = {}, {}, 0, 0
local counts = {completed = 0, archived = 0, canceled = 0}
local function set(name, value) sets[#sets + 1] = name; sets[#sets + 1] = value end
for r = 0, records - 1 do
  local at = 8 + 3 * r
  if not old[r + 1] then
    set(names[r + 1], ARGV[at + 2])
    counts[ARGV[at + 1]] = counts[ARGV[at + 1]] + 1
    ended[#ended + 1] = ARGV[at]
    ran = ran + 1
  end
end

local waiting, left = {}, known[8] or ""
local function go(key, at)
  local n, id, state = ARGV[at], ARGV[at + 1], ARGV[at + 3]
  redis.call("HSET", key, "msg", ARGV[at + 2], "state", state, "y_ret", known[6],
    "y_in", ARGV[at + 5] .. string.sub(known[5], 23))
  if state == "pending" then
    redis.call("HSET", key, "y_batch", 1, "pending_since", now .. "000000")
    waiting[#waiting + 1] = id
    left = left .. n .. ","
    return
  end
  ran = ran + 1
  redis.call("HSET", key, "y_att", 1, "y_start", ARGV[at + 6], "y_node", known[7] or "")
  if state ~= "completed" then
    failed = failed + 1
    redis.call("HSET", key, "y_reason", ARGV[at + 7], "y_msg", ARGV[at + 8], "y_again", ARGV[at + 9], "y_fields", ARGV[at + 10])
  end
  if state == "retry" then
    redis.call("HSET", key, "y_batch", 1)
    redis.call("ZADD", KEYS[3], ARGV[at + 4], id)
    left = left .. n .. ","
    return
  end
  -- It is final: it counts with its bundle, and never again.
  redis.call("HSET", key, "y_final", state, "y_fin", now)
  if state == "completed" then
    redis.call("HSET", key, "result", ARGV[at + 11])
    if ARGV[at + 12] ~= "" then redis.call("HSET", key, "y_cached", ARGV[at + 12]) end
  end
  redis.call("ZADD", state == "completed" and KEYS[5] or KEYS[4], ARGV[at + 4], id)
  counts[state] = counts[state] + 1
  ended[#ended + 1] = n
end
for k = 0, alone - 1 do
  -- Of a canceled bundle nothing goes on: its tasks end with it.
  if not old[records + k + 1] and not known[3] then
    set(names[records + k + 1], "alone")
    go(KEYS[first + k], from + each * k)
  end
end
if left ~= (known[8] or "") then set("y_alone", left) end
if ARGV[6] ~= "" then set("y_cur", ARGV[6]) end
if #sets > 0 then redis.call("HSET", KEYS[1], unpack(sets)) end
for state, n in pairs(counts) do
  if n > 0 then redis.call("HINCRBY", KEYS[1], "y_" .. state, n) end
end

-- They are older than what waits: next in turn, in their order.
if #waiting > 0 then
  local turned = {}
  for i = #waiting, 1, -1 do turned[#turned + 1] = waiting[i] end
  if redis.call("RPUSH", KEYS[2], unpack(turned)) == #waiting then redis.call("PUBLISH", "jobyard:wake", ARGV[3]) end
end
local function count(n, day, total)
  if n == 0 then return end
  if redis.call("INCRBY", day, n) == n then redis.call("EXPIREAT", day, ARGV[5]) end
  redis.call("INCRBY", total, n)
end
count(ran, KEYS[6], KEYS[8])
count(failed, KEYS[7], KEYS[9])
if #ended > 0 then redis.call("PUBLISH", "jobyard:done", ARGV[4] .. " " .. table.concat(ended, ",")) end
return {known[3] and 2 or 1, known[4] or ""}
