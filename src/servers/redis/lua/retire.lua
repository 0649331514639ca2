-- Hides questions of a schedule that the site has retired, and shows those again that it has
-- restored, each with the date that it has in the details.
-- KEYS: sorted set, details, sorted set by subject, fence
-- ARGV: generation, version that the schedule has, version that it gets, (id, 1 if it is retired,
-- else 0) ...
-- Returns 1 if it is done, else 0: the schedule has another version, or is not complete
local call = redis.call
local lists, suspended = unpack(call('HMGET', KEYS[2], '\0', '\0\0'))
local count, applied, head = string.match(lists or '', '^(%d+),?(%d*) (.*)$')
-- A key of the wrong type gives an error, which is no generation.
local marker = redis.pcall('ZSCORE', KEYS[1], '')
if type(marker) ~= 'string' or marker % 2 ^ 52 ~= tonumber(ARGV[1]) or not count
  or (applied == '' and '0' or applied) ~= ARGV[2] then
  return 0
end
-- Another process may be arranging the questions by subject, as they were before.
call('DEL', KEYS[4])
local is_suspended = {}
for id in string.gmatch(suspended or '', '%Z+') do
  is_suspended[id] = true
end
for index = 4, #ARGV, 2 do
  local id = ARGV[index]
  if not call('ZSCORE', KEYS[1], id) then
    -- The student has no such question.
  elseif ARGV[index + 1] == '1' then
    call('ZADD', KEYS[1], '+inf', id)
    call('ZREM', KEYS[3], id)
  elseif not is_suspended[id] then
    -- Length of the subject, the subject, stability, date, and the rest.
    local length, rest = string.match(call('HGET', KEYS[2], id) or '', '^(%d+),(.*)$')
    local date = length
      and string.match(string.sub(rest, tonumber(length) + 1), '^%d+,(%-?%d+),')
    if not date then
      -- Its details are lost, so the schedule is of no use.
      call('UNLINK', KEYS[1])
      return 0
    end
    call('ZADD', KEYS[1], date, id)
    -- It has no place by subject any more. The next read of a subject arranges all questions again.
    call('UNLINK', KEYS[3])
  end
end
call('HSET', KEYS[2], '\0', string.format('%s,%s %s', count, ARGV[3], head))
return 1
