-- Settles claims: forgets blobs that are gone, and says when to look at the
-- others again. One that was listed anew meanwhile stays as it is.
-- KEYS  1 due
-- ARGV  1 the claim, then for each blob its name and in how many ms it is due, or
--       "" to forget it
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for i = 2, #ARGV, 2 do
  local score = redis.call("ZSCORE", KEYS[1], ARGV[i])
  if score and tonumber(score) == tonumber(ARGV[1]) then
    if ARGV[i + 1] == "" then
      redis.call("ZREM", KEYS[1], ARGV[i])
    else
      redis.call("ZADD", KEYS[1], now + ARGV[i + 1], ARGV[i])
    end
  end
end
return 1
