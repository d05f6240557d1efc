-- Takes tasks for attempts: asynq's dequeue, for many at once, plus the fence.
-- Entries that have nothing to run any more are cleared on the way. asynq's lease
-- is not used: whether a node lives is told by its own.
-- KEYS  1 pending  2 paused  3 active  4 completed
-- ARGV  1 task key prefix  2 now in ms  3 node  4 most
-- returns false, or for each task {asynq message, id, fence, pending since in ns},
--         and for one of a batch also its crashes, attempts, tasks canceled one by
--         one, and retention in s
local prefix, now, most = ARGV[1], ARGV[2], tonumber(ARGV[4])
-- An idle node looks every second: that costs one command.
local waiting = redis.call("LLEN", KEYS[1])
if waiting == 0 or redis.call("EXISTS", KEYS[2]) == 1 then return false end
local taken, cleared = {}, 0
while #taken < most and cleared < 100 do
  -- The first write takes no memory: a full Redis lets the rest pass too.
  local ids = redis.call("RPOP", KEYS[1], most - #taken)
  if not ids then break end
  redis.call("LPUSH", KEYS[3], unpack(ids))
  for _, id in ipairs(ids) do
    local key = prefix .. id
    local known = redis.pcall("HMGET", key, "msg", "y_final", "y_cancel", "y_ret", "pending_since", "y_batch", "y_crash", "y_skip",
      "y_in", "y_att", "y_fence")
    -- Where a task's key holds something else, there is no task; what a damaged
    -- field says counts as unsaid: one of them must not stop the queue.
    if known.err or not known[1] or known[2] == "completed" or known[2] == "canceled" then
      redis.call("LREM", KEYS[3], 1, id)
      cleared = cleared + 1
    elseif known[3] then
      -- Its cancel reached a node that is gone: it ends here instead.
      redis.call("LREM", KEYS[3], 1, id)
      redis.call("HSET", key, "state", "completed", "y_final", "canceled", "y_fin", now,
        "y_reason", "canceled", "y_msg", "canceled by a caller", "y_again", "0")
      redis.call("ZADD", KEYS[4], math.floor(now / 1000) + (tonumber(known[4]) or 86400), id)
      redis.call("PUBLISH", "jobyard:done", id)
      cleared = cleared + 1
    else
      local attempts, fence = (tonumber(known[10]) or 0) + 1, (tonumber(known[11]) or 0) + 1
      -- This look may have set out before the task came in. Of its time in ns the first
      -- 13 digits are ms.
      local started, enqueued = now, known[9] and string.sub(known[9], 23) or string.sub(known[5] or "0", 1, 13)
      if (tonumber(enqueued) or 0) > tonumber(started) then started = enqueued end
      redis.call("HSET", key, "state", "active", "y_start", started, "y_node", ARGV[3], "y_att", attempts, "y_fence", fence)
      if known[2] then redis.call("HDEL", key, "y_final") end
      if known[6] then
        taken[#taken + 1] = {known[1], id, fence, known[5] or "", known[7] or "", attempts, known[8] or "", known[4] or ""}
      else
        taken[#taken + 1] = {known[1], id, fence, known[5]}
      end
    end
  end
end
if #taken == 0 then return false end
return taken
