-- The student's due questions: one round trip, and few values, each of which costs time on the way.
-- KEYS: active season, sorted set, details, confirmation that the cache may be believed
-- ARGV: active season as the caller knows it, generation, now, most questions
-- Returns {'season', actual} | {'cold', confirmation or nothing} | {'warm', confirmation or
-- nothing, total due, ids, details}, ids and details joined by NUL
local call, schedule, now = redis.call, KEYS[2], ARGV[3]
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
