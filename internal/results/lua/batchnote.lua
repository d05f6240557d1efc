-- Notes units of a batch that are final; a unit that was noted before changes
-- nothing.
-- KEYS  1 batch  2 bits of the final units  3 bits of the tasks that left their bundle
-- ARGV  1 now in ms, then for each unit its bit, how many of its tasks are
--       completed, archived and canceled, and which went on alone ("3,17,")
-- returns 1 if every task is final and the batch is to be finished, else 0
if redis.call("EXISTS", KEYS[1]) == 0 then return 0 end
local names, sums, done = {"completed", "archived", "canceled"}, {0, 0, 0}, 0
for i = 2, #ARGV, 5 do
  if redis.call("SETBIT", KEYS[2], ARGV[i], 1) == 0 then
    for j = 1, 3 do
      local n = tonumber(ARGV[i + j])
      sums[j], done = sums[j] + n, done + n
    end
    for n in string.gmatch(ARGV[i + 4], "%d+") do redis.call("SETBIT", KEYS[3], n, 1) end
  end
end
for j = 1, 3 do
  if sums[j] > 0 then redis.call("HINCRBY", KEYS[1], names[j], sums[j]) end
end
redis.call("HSET", KEYS[1], "touched", ARGV[1])
if redis.call("HINCRBY", KEYS[1], "done", done) < tonumber(redis.call("HGET", KEYS[1], "total")) then return 0 end
redis.call("HSETNX", KEYS[1], "fin", ARGV[1])
return redis.call("HGET", KEYS[1], "state") == "open" and 1 or 0
