-- The student's due questions of one subject, as due.lua has those of all.
-- Begins as believed.lua.
-- KEYS: ..., sorted set by subject, known links
-- ARGV: ..., most questions, the subject's member of the sorted set by subject, now's place in a
-- subject, the subject's member of the known links
-- Returns as due.lua, and at the end 1 if the subject is known to exist, else 0; or {'unarranged',
-- confirmation or empty}: the schedule is complete, but its questions are not arranged by subject
local by_subject = KEYS[5]
local order, subject = unpack(call('ZMSCORE', by_subject, '', ARGV[4]))
local ids, total = {}, 0
-- If it has no number, the student has no question of this subject.
if subject then
  local first = -subject * 2 ^ 39
  local now = first + ARGV[5]
  ids = call('ZRANGEBYSCORE', by_subject, first, now, 'LIMIT', 0, ARGV[3])
  total = call('ZCOUNT', by_subject, first, now)
end
local details = call('HMGET', KEYS[3], '', unpack(ids))
local head = details[1]
-- Redis may have evicted any of the keys without the others.
if not head then
  return {'cold', confirmation}
end
if not order or tonumber(order) ~= -string.match(head, '%d+') then
  return {'unarranged', confirmation}
end
local whole, joined = pcall(table.concat, details, '\0', 2)
if not whole then
  return {'cold', confirmation}
end
local is_known = call('SISMEMBER', KEYS[6], ARGV[6])
return {'warm', confirmation, total, table.concat(ids, '\0'), joined, is_known}
