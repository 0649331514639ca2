-- Notes that a look is done. The note lives no longer than the claim would have, which was made
-- before the look.
-- KEYS: claim, note
-- ARGV: text of the claim, which the note gets
-- Returns 1 if it is noted, else 0: another process has claimed or revoked the look since, or it
-- took too long
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
local left = redis.call('PTTL', KEYS[1])
redis.call('DEL', KEYS[1])
if left <= 0 then
  return 0
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', left)
return 1
