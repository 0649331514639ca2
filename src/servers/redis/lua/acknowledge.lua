-- Removes submissions from the journal, and from those that were written lately.
-- KEYS: stream, submissions by token, those written lately, then for each submission its student's
-- pending submissions
-- ARGV: group, then each submission's id, token, and place among those written lately, or empty
for index = 4, #KEYS do
  local id, token, place = unpack(ARGV, 3 * index - 10, 3 * index - 8)
  local pending = KEYS[index]
  redis.call('XACK', KEYS[1], ARGV[1], id)
  redis.call('XDEL', KEYS[1], id)
  local known = redis.call('HGET', pending, id)
  local written = known and string.match(known, '^%d+%-%d+')
  if written then
    redis.call('XDEL', KEYS[3], written)
  end
  -- The student's pending submissions may have been evicted, or removed by hand.
  if place ~= '' then
    redis.call('XDEL', KEYS[3], place)
  end
  -- Older versions wrote the field `id`.
  redis.call('HDEL', pending, id, 'id')
  redis.call('HDEL', KEYS[2], token)
  -- Once nothing is left, the table has the same information as the head and the last tokens,
  -- except for an erased student.
  local left = redis.call('HLEN', pending)
  for _, field in ipairs({'head', 'token', 'void'}) do
    left = left - redis.call('HEXISTS', pending, field)
  end
  local void = redis.call('HGET', pending, 'void')
  if left == 0 and void then
    redis.call('EXPIRE', pending, void)
  elseif left == 0 then
    redis.call('DEL', pending)
  end
end
return 1
