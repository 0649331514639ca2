-- Puts the questions by subject in place, unless the schedule has changed since they were read.
-- KEYS: fence, details, the new sorted set by subject, sorted set by subject
-- ARGV: fence from before the details were read
-- Returns 1 if they are in place, else 0
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  redis.call('UNLINK', KEYS[3])
  return 0
end
redis.call('UNLINK', KEYS[1], KEYS[4])
redis.call('RENAME', KEYS[3], KEYS[4])
-- It lives no longer than the details that it was made from.
redis.call('EXPIRE', KEYS[4], math.floor(redis.call('PTTL', KEYS[2]) / 1000))
return 1
