-- Claims blobs that are due for a look, so that sweeps that run at once look at
-- different ones. What is not settled is due again when the claim ends.
-- KEYS  1 due
-- ARGV  1 how many at most  2 ms that the claim lasts
-- returns {the score by which the claim is known, blobs}
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
-- Half a millisecond: no other score has one.
local claim = string.format("%.1f", now + ARGV[2] + 0.5)
local shas = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", now, "LIMIT", 0, ARGV[1])
for _, sha in ipairs(shas) do redis.call("ZADD", KEYS[1], claim, sha) end
return {claim, shas}
