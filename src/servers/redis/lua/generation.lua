-- The generation in which cached schedules count, for this run of the cache. A restarted cache may
-- have loaded old schedules: it begins a new one.
-- KEYS: generation
-- ARGV: the run of the cache, an unused generation number
-- Returns the generation
local known = redis.call('GET', KEYS[1])
local generation, run = string.match(known or '', '^(%d+)|(.*)$')
if run == ARGV[1] then
  return generation
end
redis.call('SET', KEYS[1], ARGV[2] .. '|' .. ARGV[1])
return ARGV[2]
