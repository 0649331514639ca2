-- How each script begins that asks for a student's schedule.
-- KEYS: active season, sorted set, details, confirmation that the cache may be believed ...
-- ARGV: active season as the caller knows it, generation ...
-- Goes on where that season is active and the sorted set is complete, with what confirms the cache.
-- Else returns {'season', actual} | {'cold', confirmation or nothing}
local call = redis.call
local known = call('MGET', KEYS[1], KEYS[4])
local season, confirmation = known[1], known[2] or ''
-- Redis 6.2 that is a replica shows to scripts what is over.
if confirmation ~= '' and call('PTTL', KEYS[4]) <= 0 then
  confirmation = ''
end
if season ~= ARGV[1] then
  return {'season', season}
end
if call('ZSCORE', KEYS[2], '') ~= ARGV[2] then
  return {'cold', confirmation}
end
