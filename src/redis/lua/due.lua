-- The student's due questions: one round trip, no write while the cache is warm.
-- KEYS: active season, sorted set, details, fence
-- ARGV: active season as the caller knows it, generation, now, most questions, fence for a cold cache
-- Returns {'season', actual} | {'cold'} | {'warm', total due, ids, details}
local season = redis.call('GET', KEYS[1])
if season ~= ARGV[1] then
  return {'season', season}
end
if redis.call('ZSCORE', KEYS[2], '') == ARGV[2] then
  local ids = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[3], 'LIMIT', 0, ARGV[4])
  if #ids == 0 then
    return {'warm', 0, {}, {}}
  end
  local details = redis.call('HMGET', KEYS[3], unpack(ids))
  local whole = true
  for index = 1, #details do
    if not details[index] then
      whole = false
    end
  end
  if whole then
    local total = #ids
    if total == tonumber(ARGV[4]) then
      total = redis.call('ZCOUNT', KEYS[2], '-inf', ARGV[3])
    end
    return {'warm', total, ids, details}
  end
end
-- A full Redis refuses this write; the answer then comes from MariaDB and is not cached.
redis.pcall('SET', KEYS[4], ARGV[5], 'EX', 60)
return {'cold'}
