-- The student's due questions, in one round trip and few values, because each value costs time.
-- Begins as believed.lua.
-- ARGV: ..., now, most questions
-- Returns {'warm', confirmation or empty, total due, ids, details}, ids and details joined by NUL
local schedule, now = KEYS[2], ARGV[3]
local ids = call('ZRANGEBYSCORE', schedule, '-inf', now, 'LIMIT', 0, ARGV[4])
if #ids == 0 then
  return {'warm', confirmation, 0, '', ''}
end
-- Fails if a question has no details: they were evicted, and the sorted set was not.
local whole, details = pcall(table.concat, call('HMGET', KEYS[3], unpack(ids)), '\0')
if not whole then
  return {'cold', confirmation}
end
local total = call('ZCOUNT', schedule, '-inf', now)
return {'warm', confirmation, total, table.concat(ids, '\0'), details}
