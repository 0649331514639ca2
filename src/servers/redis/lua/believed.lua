-- The beginning of each script that asks for a student's schedule.
-- KEYS: active season, sorted set, details, confirmation that the cache may be believed ...
-- ARGV: active season as the caller knows it, generation and, if any question was ever retired, a
-- comma and the version of the retired questions ...
-- Continues, with the confirmation, if that season is active, the sorted set is complete, and the
-- retired questions of that version are hidden.
-- Otherwise returns {'season', the active one or nothing} | {'cold', confirmation or empty} |
-- {'behind', confirmation or empty, the version that the schedule has}
local call = redis.call
local known = call('MGET', KEYS[1], KEYS[4])
local season, confirmation = known[1], known[2] or ''
-- As a replica, Redis 6.2 shows expired keys to scripts.
if confirmation ~= '' and call('PTTL', KEYS[4]) <= 0 then
  confirmation = ''
end
if season ~= ARGV[1] then
  return {'season', season}
end
local generation, version = ARGV[2], nil
if string.find(generation, ',', 1, true) then
  generation, version = string.match(generation, '^(%d+),(%d+)$')
end
-- An older memora, which cannot read memories, marks a schedule with the generation itself.
local marker = tonumber(call('ZSCORE', KEYS[2], '') or 0)
if marker % 2 ^ 52 ~= tonumber(generation) then
  return {'cold', confirmation}
end
if version then
  local lists = call('HGET', KEYS[3], '\0')
  -- The details were evicted, and the sorted set was not.
  if not lists then
    return {'cold', confirmation}
  end
  local applied = string.match(lists, '^%d+,(%d+) ') or '0'
  if applied ~= version then
    return {'behind', confirmation, applied}
  end
end
