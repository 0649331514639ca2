-- Puts a loaded schedule in its place, unless something came in between since the load began.
-- KEYS: fence, sorted set, details, sorted set by subject, the loaded sorted set, the loaded
-- details, cached students
-- ARGV: fence of the load, student, Unix time at which the schedule expires
-- Returns 1 when it is in its place, else 0
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  redis.call('UNLINK', KEYS[5], KEYS[6])
  return 0
end
-- Unlinked, the thousands of records of an old schedule are freed without holding up others.
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
redis.call('RENAME', KEYS[5], KEYS[2])
redis.call('RENAME', KEYS[6], KEYS[3])
redis.call('ZADD', KEYS[7], ARGV[3], ARGV[2])
return 1
