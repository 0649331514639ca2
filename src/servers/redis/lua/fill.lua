-- Puts a loaded schedule in place, unless something has changed it since the load began.
-- KEYS: fence, sorted set, details, sorted set by subject, the loaded sorted set, the loaded
-- details, cached students
-- ARGV: fence of the load, student, Unix time at which the schedule expires
-- Returns 1 if it is in place, else 0
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  redis.call('UNLINK', KEYS[5], KEYS[6])
  return 0
end
-- UNLINK frees the thousands of records of an old schedule without delaying other calls.
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
redis.call('RENAME', KEYS[5], KEYS[2])
redis.call('RENAME', KEYS[6], KEYS[3])
redis.call('ZADD', KEYS[7], ARGV[3], ARGV[2])
return 1
