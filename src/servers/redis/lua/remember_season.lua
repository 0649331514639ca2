-- Remembers the active season, unless a new generation has begun since it was looked up.
-- KEYS: generation, active season
-- ARGV: the generation and the run of the cache as the caller knows them, token, seconds to live
-- Returns 1 when it is remembered, else 0
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
return 1
