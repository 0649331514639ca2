-- Writes all records of a student, unless an answer or an eviction came in between: then the fence is gone.
-- KEYS: sorted set, details, fence
-- ARGV: fence, generation, head, seconds to live, (next review, id, detail) ...
-- Returns 1 when written
if redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('HSET', KEYS[2], '', ARGV[3])
for first = 5, #ARGV, 3000 do
  local scores, details = {}, {}
  for index = first, math.min(first + 2999, #ARGV), 3 do
    local at = #scores
    scores[at + 1], scores[at + 2] = ARGV[index], ARGV[index + 1]
    details[at + 1], details[at + 2] = ARGV[index + 1], ARGV[index + 2]
  end
  redis.call('ZADD', KEYS[1], unpack(scores))
  redis.call('HSET', KEYS[2], unpack(details))
end
-- The marker comes last and is part of the key: whoever sees it sees a complete set.
redis.call('ZADD', KEYS[1], ARGV[2], '')
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 1
