-- Keeps a value in one shard, and takes out what has expired and what is over the
-- shard's bound: that which would expire first. Without a value it only takes out.
-- KEYS  1 ages (sorted set: id by when it expires, in ms)
--       2 sizes (hash: bytes by id, and the sum under "sum")
-- ARGV  1 prefix of the values' keys  2 now in ms  3 bound in bytes, and if there is a value
--       4 id  5 value  6 its size in Redis  7 when it expires, in ms
-- returns the sum of the sizes, or -1 if there was no room for the value
local prefix, now, bound = ARGV[1], ARGV[2], tonumber(ARGV[3])
-- First, because Redis judges a script by its first write: a full one must refuse.
if ARGV[4] then redis.call("SET", prefix .. ARGV[4], ARGV[5], "PXAT", ARGV[7]) end
local sum = tonumber(redis.call("HGET", KEYS[2], "sum") or 0)
local function forget(id)
  sum = sum - tonumber(redis.call("HGET", KEYS[2], id) or 0)
  redis.call("HDEL", KEYS[2], id)
  redis.call("ZREM", KEYS[1], id)
end
for _, id in ipairs(redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", now, "LIMIT", 0, 1000)) do
  if id ~= ARGV[4] then
    redis.call("UNLINK", prefix .. id)
    forget(id)
  end
end
local wanted = 0
if ARGV[4] then
  forget(ARGV[4])
  wanted = tonumber(ARGV[6])
end
local first = {}
local at, turns = 1, 0
while sum + wanted > bound and turns < 10000 do
  if at > #first then
    first, at = redis.call("ZRANGE", KEYS[1], 0, 99), 1
    if #first == 0 then
      sum = 0
      break
    end
  end
  redis.call("UNLINK", prefix .. first[at])
  forget(first[at])
  at, turns = at + 1, turns + 1
end
local kept = ARGV[4] and sum + wanted <= bound
if kept then
  sum = sum + wanted
  redis.call("HSET", KEYS[2], ARGV[4], wanted)
  redis.call("ZADD", KEYS[1], ARGV[7], ARGV[4])
elseif ARGV[4] then
  redis.call("UNLINK", prefix .. ARGV[4])
end
if sum <= 0 and redis.call("ZCARD", KEYS[1]) == 0 then
  redis.call("DEL", KEYS[2])
else
  redis.call("HSET", KEYS[2], "sum", sum)
end
if ARGV[4] and not kept then return -1 end
return sum
