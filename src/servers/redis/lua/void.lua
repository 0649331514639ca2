-- Voids what was computed from a student's submissions so far: an append that does not know this
-- order is a conflict.
-- KEYS: the student's pending submissions
-- ARGV: an order, seconds to keep it once nothing is pending
local head, order = tonumber(redis.call('HGET', KEYS[1], 'head') or '0'), tonumber(ARGV[1])
if head >= order then
  order = head + 1
end
redis.call('HSET', KEYS[1], 'head', string.format('%.0f', order), 'void', ARGV[2])
redis.call('HDEL', KEYS[1], 'token')
if redis.call('HLEN', KEYS[1]) <= 2 then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return 1
