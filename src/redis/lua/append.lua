-- Adds a submission to the journal, if it was computed from the student's last one.
-- KEYS: stream, the student's pending submissions, drain flag
-- ARGV: head before, head after, token of this submission, player, season, payload
-- Returns {'added', id, 1 when a drain is to be queued} | {'conflict'}
local last = redis.call('HMGET', KEYS[2], 'head', 'token', 'id')
if last[2] == ARGV[3] then
  return {'added', last[3], 0}
end
if last[1] and tonumber(last[1]) > tonumber(ARGV[1]) then
  return {'conflict'}
end
local id = redis.call('XADD', KEYS[1], '*', 'player', ARGV[4], 'season', ARGV[5], 'answers', ARGV[6])
redis.call('HSET', KEYS[2], 'head', ARGV[2], 'token', ARGV[3], 'id', id, id, '')
redis.call('PERSIST', KEYS[2])
local queued = redis.call('SET', KEYS[3], '1', 'NX', 'EX', 60)
return {'added', id, queued and 1 or 0}
