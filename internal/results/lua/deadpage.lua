-- deadpage
-- Reads dead letters of a queue behind a position, in the order of when they
-- failed and, within a second, of their ids.
-- KEYS  1 archived
-- ARGV  1 how many  2 "rev" for the latest first, else ""  3 task key prefix
--       4 position's second or ""  5 position's id  6 first second or -inf  7 last second or +inf
--       8... fields to read
-- returns for each letter {id, second, fields...}
local key, most, rev = KEYS[1], tonumber(ARGV[1]), ARGV[2] == "rev"
-- Lua compares texts by the server's locale, Redis orders members by their bytes.
local function before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a < #b
end
local first = 0
if ARGV[6] ~= "-inf" then first = redis.call("ZCOUNT", key, "-inf", "(" .. ARGV[6]) end
local last = redis.call("ZCOUNT", key, "-inf", ARGV[7]) - 1
if ARGV[4] ~= "" then
  -- Ranks from low on have the position's second; the search ends at the first
  -- of them that does not lie before its id.
  local low = redis.call("ZCOUNT", key, "-inf", "(" .. ARGV[4])
  local high = low + redis.call("ZCOUNT", key, ARGV[4], ARGV[4])
  while low < high do
    local middle = math.floor((low + high) / 2)
    if before(redis.call("ZRANGE", key, middle, middle)[1], ARGV[5]) then low = middle + 1 else high = middle end
  end
  if rev then
    last = math.min(last, low - 1)
  else
    if redis.call("ZRANGE", key, low, low)[1] == ARGV[5] then low = low + 1 end
    first = math.max(first, low)
  end
end
if first > last then return {} end
local from, to = first, math.min(last, first + most - 1)
if rev then from, to = math.max(first, last - most + 1), last end
local found = redis.call("ZRANGE", key, from, to, "WITHSCORES")
local letters = {}
for i = 1, #found, 2 do
  -- Where something else lies under a letter's key, its fields are empty.
  local letter = redis.pcall("HMGET", ARGV[3] .. found[i], unpack(ARGV, 8))
  if letter.err then
    letter = {}
    for j = 8, #ARGV do letter[j - 7] = false end
  end
  table.insert(letter, 1, found[i + 1])
  table.insert(letter, 1, found[i])
  if rev then table.insert(letters, 1, letter) else letters[#letters + 1] = letter end
end
return letters
