-- Remembers the active season, unless a new generation has begun, or the season or the retired
-- questions have changed, since it was looked up.
-- KEYS: generation, active season, fence of the season
-- ARGV: the generation and the run of the cache as the caller knows them, fence from before the
-- season was looked up, text of the season, seconds to live
-- Returns 1 if it is remembered, else 0
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('GET', KEYS[3]) ~= ARGV[2] then
  return 0
end
redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[4])
return 1
