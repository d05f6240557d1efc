-- Takes tasks out of a key's unfinished ones.
-- KEYS  1 the key's open tasks
-- ARGV  their ids
-- returns how many tasks that were
local freed = 0
for _, id in ipairs(ARGV) do
  local entry = redis.call("HGET", KEYS[1], id)
  if entry and redis.call("HDEL", KEYS[1], id) == 1 then
    freed = freed + tonumber(string.match(entry, "^%d+"))
  end
end
if freed > 0 and redis.call("HINCRBY", KEYS[1], "", -freed) <= 0 then redis.call("DEL", KEYS[1]) end
return freed
