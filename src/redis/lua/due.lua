-- The student's due questions: one round trip, and few values, each of which costs time on the way.
-- KEYS: active season, sorted set, details
-- ARGV: active season as the caller knows it, generation, now, most questions
-- Returns {'season', actual} | {'cold'} | {'warm', total due, ids, details}, the last two joined by NUL
local call, schedule, now = redis.call, KEYS[2], ARGV[3]
local season = call('GET', KEYS[1])
if season ~= ARGV[1] then
  return {'season', season}
end
if call('ZSCORE', schedule, '') ~= ARGV[2] then
  return {'cold'}
end
local ids = call('ZRANGEBYSCORE', schedule, '-inf', now, 'LIMIT', 0, ARGV[4])
if #ids == 0 then
  return {'warm', 0, '', ''}
end
-- Fails when a question has no details: they were evicted apart from the sorted set.
local whole, details = pcall(table.concat, call('HMGET', KEYS[3], unpack(ids)), '\0')
if not whole then
  return {'cold'}
end
return {'warm', call('ZCOUNT', schedule, '-inf', now), table.concat(ids, '\0'), details}
