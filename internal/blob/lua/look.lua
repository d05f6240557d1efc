-- Looks at some of a blob's references: others each time, so that every one is
-- seen in the end.
-- KEYS  1 references
-- ARGV  1 how many at most
-- returns {now in ms, how many there are, then each with when it was made in ms}
local t = redis.call("TIME")
local seen = redis.call("ZRANDMEMBER", KEYS[1], ARGV[1], "WITHSCORES")
local answer = {t[1] * 1000 + math.floor(t[2] / 1000), redis.call("ZCARD", KEYS[1])}
for i = 1, #seen do answer[i + 2] = seen[i] end
return answer
