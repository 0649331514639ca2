-- Sets dates of a student in the cache only. What else is cached of a question stays: an answer
-- that is shown at the same time is before this or after it, never half of each. KEYS: sorted set,
-- details, cached students ARGV: seconds to live, Unix time at which they go, student, (date, id,
-- detail of a question that is not cached) ...
for index = 4, #ARGV, 3 do
  local date, id, detail = ARGV[index], ARGV[index + 1], ARGV[index + 2]
  local known = redis.call('HGET', KEYS[2], id)
  -- Length of the subject, the subject, stability, date, and the rest.
  local length, rest = string.match(known or '', '^(%d+),(.*)$')
  if length then
    local subject = string.sub(rest, 1, tonumber(length))
    local stability, after = string.match(string.sub(rest, #subject + 1), '^(%d+),%-?%d+(,.*)$')
    if stability then
      detail = length .. ',' .. subject .. stability .. ',' .. date .. after
    end
  end
  redis.call('ZADD', KEYS[1], date, id)
  redis.call('HSET', KEYS[2], id, detail)
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[3])
return 1
