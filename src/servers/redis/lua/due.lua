-- The student's due questions: one round trip, and few values, each of which costs time on the way.
-- KEYS: active season, sorted set, details, confirmation that the cache may be believed, known
-- links ARGV: active season as the caller knows it, generation, now, most questions, how the
-- details of the
--       wanted subject begin (nothing: every subject), its member of the known links
-- Returns {'season', actual} | {'cold', confirmation or nothing} | {'warm', confirmation or
-- nothing, total due, ids, details, 1 where the wanted subject is known}, ids and details joined by
-- NUL
local call, schedule, now, wanted = redis.call, KEYS[2], ARGV[3], ARGV[5]
local known = call('MGET', KEYS[1], KEYS[4])
local season, confirmation = known[1], known[2] or ''
-- Redis 6.2 that is a replica shows to scripts what is over.
if confirmation ~= '' and call('PTTL', KEYS[4]) <= 0 then
  confirmation = ''
end
if season ~= ARGV[1] then
  return {'season', season}
end
if call('ZSCORE', schedule, '') ~= ARGV[2] then
  return {'cold', confirmation}
end
if wanted == '' then
  local ids = call('ZRANGEBYSCORE', schedule, '-inf', now, 'LIMIT', 0, ARGV[4])
  if #ids == 0 then
    return {'warm', confirmation, 0, '', ''}
  end
  -- Fails when a question has no details: they were evicted apart from the sorted set.
  local whole, details = pcall(table.concat, call('HMGET', KEYS[3], unpack(ids)), '\0')
  if not whole then
    return {'cold', confirmation}
  end
  local total = call('ZCOUNT', schedule, '-inf', now)
  return {'warm', confirmation, total, table.concat(ids, '\0'), details}
end
local due, most, total = call('ZRANGEBYSCORE', schedule, '-inf', now), tonumber(ARGV[4]), 0
local ids, details, width, sub = {}, {}, #wanted, string.sub
-- Lua passes at most some 8,000 values at a time.
for first = 1, #due, 5000 do
  local part = call('HMGET', KEYS[3], unpack(due, first, math.min(first + 4999, #due)))
  for index = 1, #part do
    local detail = part[index]
    if not detail then
      return {'cold', confirmation}
    end
    if sub(detail, 1, width) == wanted then
      total = total + 1
      if total <= most then
        ids[total], details[total] = due[first + index - 1], detail
      end
    end
  end
end
local known_subject = call('SISMEMBER', KEYS[5], ARGV[6])
return {
  'warm', confirmation, total, table.concat(ids, '\0'), table.concat(details, '\0'), known_subject
}
