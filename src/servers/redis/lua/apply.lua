-- Shows an acknowledged submission in the cache, or drops the student's cache if it is not the one
-- that the submission was computed from.
-- KEYS: sorted set, details, fence, cached students, confirmation that the cache may be believed,
-- sorted set by subject
-- ARGV: generation and, if any question was ever retired, a comma and the version of the retired
-- questions, head before, head after, seconds to live, now, student, how many subjects, how many
-- topics get questions, the subjects' members of the sorted set by subject ..., (topic's field of
-- the details, ids that it gets, each with NUL at its end) ..., (next review, +inf where the
-- question is retired; its place in a subject, which of the subjects from 1 or 0 for none, id,
-- detail) ...
-- Returns the confirmation; empty: there is none
local call = redis.call
local subjects, topics = tonumber(ARGV[7]), tonumber(ARGV[8])
call('DEL', KEYS[3])
local confirmation = call('GET', KEYS[5]) or ''
local head, lists, suspended = unpack(call('HMGET', KEYS[2], '', '\0', '\0\0'))
local count, version, of_head = string.match(lists or '', '^(%d+),?(%d*) (.*)$')
local generation, of_caller = string.match(ARGV[1], '^(%d+),?(%d*)$')
local current = (call('ZSCORE', KEYS[1], '') or 0) % 2 ^ 52 == tonumber(generation)
  and version == of_caller
  and (head == ARGV[2] or head == ARGV[3])
  and head == of_head
if not current then
  call('DEL', KEYS[1], KEYS[2], KEYS[6])
  call('ZREM', KEYS[4], ARGV[6])
  return confirmation
end
-- The first number is the order of the head that the set is of. A set of another head is useless.
local numbers = call('ZMSCORE', KEYS[6], '', unpack(ARGV, 9, 8 + subjects))
local is_arranged = numbers[1] and tonumber(numbers[1]) == -string.match(head, '%d+')
local places, firsts, next_number = {}, {}, nil
if is_arranged then
  places = {-string.match(ARGV[3], '%d+'), ''}
  for index = 1, subjects do
    if not numbers[index + 1] then
      next_number = next_number or call('ZCOUNT', KEYS[6], '-inf', 0)
      places[#places + 1], places[#places + 2] = -next_number, ARGV[8 + index]
      numbers[index + 1] = -next_number
      next_number = next_number + 1
    end
    firsts[tostring(index)] = -numbers[index + 1] * 2 ^ 39
  end
end
-- Beyond this number scores are not exact.
if not is_arranged or (next_number or 0) > 2 ^ 13 then
  call('UNLINK', KEYS[6])
  places, firsts = {}, {}
end
local at = 9 + subjects
local details = {'', ARGV[3]}
for index = at, at + 2 * topics - 1, 2 do
  local list = call('HGET', KEYS[2], ARGV[index])
  if not list then
    count = count + 1
  end
  local known, parts = '\0' .. (list or ''), {list or ''}
  for id in string.gmatch(ARGV[index + 1], '%Z+') do
    if not string.find(known, '\0' .. id .. '\0', 1, true) then
      parts[#parts + 1] = id .. '\0'
    end
  end
  details[#details + 1], details[#details + 2] = ARGV[index], table.concat(parts)
end
if version ~= '' then
  count = string.format('%d,%s', count, version)
end
details[#details + 1], details[#details + 2] = '\0', count .. ' ' .. ARGV[3]
-- Questions may have been suspended or resumed since the submission was computed.
local is_suspended = {}
for id in string.gmatch(suspended or '', '%Z+') do
  is_suspended[id] = true
end
-- From now on the details have memories, which an older memora cannot read.
local scores = {string.format('%.0f', generation + 2 ^ 52), ''}
for index = at + 2 * topics, #ARGV, 5 do
  local date, place, subject, id, detail = unpack(ARGV, index, index + 4)
  local score, state = #scores, #details
  if is_suspended[id] then
    date, subject = '+inf', '0'
  end
  scores[score + 1], scores[score + 2] = date, id
  local first = firsts[subject]
  if first then
    places[#places + 1], places[#places + 2] = first + place, id
  end
  details[state + 1], details[state + 2] = id, detail
end
call('ZADD', KEYS[1], unpack(scores))
call('HSET', KEYS[2], unpack(details))
call('EXPIRE', KEYS[1], ARGV[4])
call('EXPIRE', KEYS[2], ARGV[4])
if #places > 0 then
  call('ZADD', KEYS[6], unpack(places))
  call('EXPIRE', KEYS[6], ARGV[4])
end
call('ZADD', KEYS[4], ARGV[5] + ARGV[4], ARGV[6])
return confirmation
