-- The student's due questions: one round trip, and few values, each of which costs time on the way.
-- Begins as believed.lua.
-- ARGV: ..., now, most questions
-- Returns {'warm', confirmation or nothing, total due, ids, details}, ids and details joined by NUL
local schedule, now = KEYS[2], ARGV[3]
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
