-- Takes tasks for attempts: asynq's dequeue, for as many as there are free
-- slots, plus the fence. Entries that have nothing to run any more are cleared
-- on the way.
-- KEYS  1 pending  2 paused  3 active  4 lease  5 completed
-- ARGV  1 lease end as Unix seconds  2 task key prefix  3 now in ms  4 node  5 most
-- returns false, or for each task {asynq message, id, fence, pending since in ns},
--         and for one of a batch also its crashes, attempts, tasks canceled one by
--         one, and retention in s
if redis.call("EXISTS", KEYS[2]) == 1 then return false end
local taken, most = {}, tonumber(ARGV[5])
for _ = 1, most + 100 do
  if #taken == most then break end
  local id = redis.call("RPOPLPUSH", KEYS[1], KEYS[3])
  if not id then break end
  local key = ARGV[2] .. id
  local known = redis.call("HMGET", key, "msg", "y_final", "y_cancel", "y_ret", "pending_since", "y_batch", "y_crash", "y_skip", "y_in")
  if not known[1] or known[2] == "completed" or known[2] == "canceled" then
    redis.call("LREM", KEYS[3], 1, id)
  elseif known[3] then
    -- Its cancel reached a node that is gone: it ends here instead.
    redis.call("LREM", KEYS[3], 1, id)
    redis.call("HSET", key, "state", "completed", "y_final", "canceled", "y_fin", ARGV[3],
      "y_reason", "canceled", "y_msg", "canceled by a caller", "y_again", "0")
    redis.call("ZADD", KEYS[5], math.floor(ARGV[3] / 1000) + tonumber(known[4] or 86400), id)
    redis.call("PUBLISH", "jobyard:done", id)
  else
    redis.call("ZADD", KEYS[4], ARGV[1], id)
    local attempts = redis.call("HINCRBY", key, "y_att", 1)
    local fence = redis.call("HINCRBY", key, "y_fence", 1)
    -- This look may have set out before the task came in.
    local started = ARGV[3]
    local enqueued = known[9] and string.sub(known[9], 23) or "0"
    if tonumber(enqueued) > tonumber(started) then started = enqueued end
    redis.call("HSET", key, "state", "active", "y_start", started, "y_node", ARGV[4])
    if known[2] then redis.call("HDEL", key, "y_final") end
    taken[#taken + 1] = {known[1], id, fence, known[5]}
    if known[6] then
      taken[#taken] = {known[1], id, fence, known[5] or "", known[7] or "", attempts, known[8] or "", known[4] or ""}
    end
  end
end
if #taken == 0 then return false end
return taken
