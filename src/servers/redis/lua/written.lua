-- Some of the submissions written lately, without their texts.
-- KEYS: those written lately
-- ARGV: for how many milliseconds they are kept (empty: the newest are wanted), how many are kept,
-- the most to return
-- Returns for each {its place there, its id in the stream, token, player, season}: of the oldest,
-- those that need not be kept any more; or the newest, latest first
local most, found = tonumber(ARGV[3]), nil
if ARGV[1] == '' then
  found = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', most)
else
  local time = redis.call('TIME')
  local oldest = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) - tonumber(ARGV[1])
  found = redis.call('XRANGE', KEYS[1], '-', string.format('%.0f', oldest), 'COUNT', most)
  local beyond = math.min(redis.call('XLEN', KEYS[1]) - tonumber(ARGV[2]), most)
  if beyond > #found then
    found = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', beyond)
  end
end
local told = {}
for index, one in ipairs(found) do
  local of = {}
  for at = 1, #one[2], 2 do
    of[one[2][at]] = one[2][at + 1]
  end
  told[index] = {one[1], of.id or '', of.token or '', of.player or '', of.season or ''}
end
return told
