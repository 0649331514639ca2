-- Whether submissions have waited for too long. The caller that is told so queues a drain, and for
-- a minute no other is.
-- KEYS: stream, drain flag
-- ARGV: longest wait in milliseconds
-- Returns 1 when a drain is to be queued, else 0
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if not oldest then
  return 0
end
-- The stream's ids are from this clock, too.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if now - tonumber(string.match(oldest[1], '^%d+')) < tonumber(ARGV[1]) then
  return 0
end
return redis.call('SET', KEYS[2], '1', 'NX', 'EX', 60) and 1 or 0
