-- Whether submissions have waited for too long. The caller that gets 1 queues a drain; for a minute
-- no other caller gets 1.
-- KEYS: stream, drain flag
-- ARGV: longest wait in milliseconds
-- Returns 1 if a drain must be queued, else 0
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if not oldest then
  return 0
end
-- The stream's ids come from the same clock.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if now - tonumber(string.match(oldest[1], '^%d+')) < tonumber(ARGV[1]) then
  return 0
end
return redis.call('SET', KEYS[2], '1', 'NX', 'EX', 60) and 1 or 0
