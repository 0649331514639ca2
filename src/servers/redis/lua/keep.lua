-- Moves submissions that are in MariaDB from the stream to those that were written lately. For one
-- that is already there, the time begins again.
-- KEYS: stream, submissions by token, those written lately, then for each submission its student's
-- pending submissions
-- ARGV: group, then each submission's id, token, and place among those written lately; empty: it is
-- in the stream
for index = 4, #KEYS do
  local id, token, place = unpack(ARGV, 3 * index - 10, 3 * index - 8)
  local pending, from = KEYS[index], KEYS[3]
  if place == '' then
    from, place = KEYS[1], id
  end
  local found = redis.call('XRANGE', from, place, place)[1]
  if found then
    -- First, because a full Redis refuses it: nothing has been done by then.
    local written
    if from == KEYS[1] then
      written = redis.call('XADD', KEYS[3], '*', 'id', id, 'token', token, unpack(found[2]))
    else
      written = redis.call('XADD', KEYS[3], '*', unpack(found[2]))
    end
    redis.call('XDEL', from, place)
    redis.call('HSET', pending, id, written .. ' ' .. token)
    redis.call('HSET', KEYS[2], token, 'w' .. written)
  end
  redis.call('XACK', KEYS[1], ARGV[1], id)
end
-- Once nothing waits, the table has the same information as the head and the last tokens, except
-- for an erased student. A student may have many submissions; each student is checked once.
local seen = {}
for index = 4, #KEYS do
  local pending = KEYS[index]
  if not seen[pending] then
    seen[pending] = true
    local waits = false
    for _, value in ipairs(redis.call('HVALS', pending)) do
      waits = waits or value == ''
    end
    if not waits and redis.call('HEXISTS', pending, 'void') == 0 then
      redis.call('HDEL', pending, 'head', 'token')
    end
  end
end
return 1
