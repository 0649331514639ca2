-- Sets dates of a student in the cache only. Everything else that is cached of a question stays: an
-- answer that is shown at the same time comes before this or after it, never in between.
-- KEYS: sorted set, details, cached students, sorted set by subject, fence
-- ARGV: seconds to live, Unix time at which they expire, student, (date; score: the date, or +inf
-- if the question is retired; place in a subject; id; detail if the question is not cached) ...
local call = redis.call
-- Another process may be arranging the questions by subject, with the dates from before.
call('DEL', KEYS[5])
local is_suspended = {}
for id in string.gmatch(call('HGET', KEYS[2], '\0\0') or '', '%Z+') do
  is_suspended[id] = true
end
for index = 4, #ARGV, 5 do
  local date, score, place, id, detail = unpack(ARGV, index, index + 4)
  local known = call('HGET', KEYS[2], id)
  -- Length of the subject, the subject, stability, date, and the rest.
  local length, rest = string.match(known or '', '^(%d+),(.*)$')
  if length then
    local subject = string.sub(rest, 1, tonumber(length))
    local stability, after = string.match(string.sub(rest, #subject + 1), '^(%d+),%-?%d+(,.*)$')
    if stability then
      detail = length .. ',' .. subject .. stability .. ',' .. date .. after
    end
  end
  -- A hidden question stays hidden, as does one that was suspended while it was not cached.
  if is_suspended[id] or call('ZSCORE', KEYS[1], id) == 'inf' then
    score = '+inf'
  end
  call('ZADD', KEYS[1], score, id)
  call('HSET', KEYS[2], id, detail)
  -- It has none if it has no subject, or is hidden.
  local at = call('ZSCORE', KEYS[4], id)
  if at then
    call('ZADD', KEYS[4], math.floor(at / 2 ^ 39) * 2 ^ 39 + place, id)
  end
end
for _, key in ipairs({KEYS[1], KEYS[2], KEYS[4]}) do
  call('EXPIRE', key, ARGV[1])
end
call('ZADD', KEYS[3], ARGV[2], ARGV[3])
return 1
