-- Takes submissions that are in MariaDB out of the journal.
-- KEYS: stream, then for each submission its student's pending submissions
-- ARGV: group, seconds that a student's head is kept once nothing is pending, then each submission's id
for index = 3, #ARGV do
  local id, pending = ARGV[index], KEYS[index - 1]
  redis.call('XACK', KEYS[1], ARGV[1], id)
  redis.call('XDEL', KEYS[1], id)
  redis.call('HDEL', pending, id)
  -- Only the head, its token and its id are left: let them go some day.
  if redis.call('HLEN', pending) <= 3 then
    redis.call('EXPIRE', pending, ARGV[2])
  end
end
return 1
