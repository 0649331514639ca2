-- Takes submissions that are in MariaDB out of the journal.
-- KEYS: stream, submissions by token, then for each submission its student's pending submissions
-- ARGV: group, seconds that a student's head is kept once nothing is pending, then each submission's id and token
for index = 3, #KEYS do
  local id, token, pending = ARGV[2 * index - 3], ARGV[2 * index - 2], KEYS[index]
  redis.call('XACK', KEYS[1], ARGV[1], id)
  redis.call('XDEL', KEYS[1], id)
  redis.call('HDEL', pending, id)
  redis.call('HDEL', KEYS[2], token)
  -- Only the head, its token and its id are left: let them go some day.
  if redis.call('HLEN', pending) <= 3 then
    redis.call('EXPIRE', pending, ARGV[2])
  end
end
return 1
