-- Shows an acknowledged submission in the cache, or drops the student's cache if it is not the one
-- that the submission was computed from.
-- KEYS: sorted set, details, fence, cached students, confirmation that the cache may be believed
-- ARGV: generation, head before, head after, seconds to live, now, student, (next review, id,
-- detail) ...
-- Returns {confirmation or nothing, how many are due then; nothing when dropped}
redis.call('DEL', KEYS[3])
local head = redis.call('HGET', KEYS[2], '')
local confirmation = redis.call('GET', KEYS[5]) or ''
local current = redis.call('ZSCORE', KEYS[1], '') == ARGV[1]
  and (head == ARGV[2] or head == ARGV[3])
if not current then
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('ZREM', KEYS[4], ARGV[6])
  return {confirmation, false}
end
local scores, details = {}, {'', ARGV[3]}
for index = 7, #ARGV, 3 do
  local at = #scores
  scores[at + 1], scores[at + 2] = ARGV[index], ARGV[index + 1]
  details[at + 3], details[at + 4] = ARGV[index + 1], ARGV[index + 2]
end
redis.call('ZADD', KEYS[1], unpack(scores))
redis.call('HSET', KEYS[2], unpack(details))
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])
redis.call('ZADD', KEYS[4], ARGV[5] + ARGV[4], ARGV[6])
return {confirmation, redis.call('ZCOUNT', KEYS[1], '-inf', ARGV[5])}
