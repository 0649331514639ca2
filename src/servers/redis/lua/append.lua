-- Adds a submission to the journal, unless it was computed without the student's newest one.
-- KEYS: stream, the student's pending submissions, drain flag, submissions by token
-- ARGV: order of the newest entry that it knows, its own order, token, player, season, entry, the
-- time until which the caller waits (Unix microseconds by this server's clock), 1 if it has a key
-- Returns {'added', id, 1 if a drain must be queued, else 0} | {'conflict'} | {}: it came too late
-- | {'known'}: a submission with this key is here, perhaps this one
local time = redis.call('TIME')
if time[1] * 1000000 + time[2] > tonumber(ARGV[7]) then
  return {}
end
if ARGV[8] == '1' and redis.call('HEXISTS', KEYS[4], ARGV[3]) == 1 then
  return {'known'}
end
local last = redis.call('HMGET', KEYS[2], 'head', 'token')
-- A process whose connection broke before the answer asks again, perhaps after others: the last
-- tokens are kept, newest first, each with its result.
local tokens = last[2] or ''
local _, found = string.find(' ' .. tokens, ' ' .. ARGV[3] .. '=', 1, true)
if found and ARGV[8] == '1' then
  return {'known'}
end
if found then
  -- Replicas are asked only after a write, which covers all earlier ones.
  redis.call('HSET', KEYS[2], 'token', tokens)
  return {'added', string.match(tokens, '^%d+%-%d+', found), 0}
end
if last[1] and tonumber(last[1]) > tonumber(ARGV[1]) then
  return {'conflict'}
end
local id = redis.call('XADD', KEYS[1], '*', 'player', ARGV[4], 'season', ARGV[5], 'entry', ARGV[6])
local kept = {ARGV[3] .. '=' .. id}
for token in string.gmatch(tokens, '[^ ]+') do
  if #kept < 8 then
    kept[#kept + 1] = token
  end
end
redis.call('HSET', KEYS[2], 'head', ARGV[2], 'token', table.concat(kept, ' '), id, '')
-- Older versions let it expire.
redis.call('PERSIST', KEYS[2])
redis.call('HSET', KEYS[4], ARGV[3], id)
local queued = redis.call('SET', KEYS[3], '1', 'NX', 'EX', 60)
return {'added', id, queued and 1 or 0}
