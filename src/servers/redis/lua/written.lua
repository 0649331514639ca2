-- The oldest submissions of those written lately, as far as they need not be kept any more.
-- KEYS: those written lately
-- ARGV: for how many milliseconds they are kept, how many of them, the most to return
-- Returns for each {its place there, its id in the stream, token, player, season}
local time = redis.call('TIME')
local oldest = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) - tonumber(ARGV[1])
local beyond = redis.call('XLEN', KEYS[1]) - tonumber(ARGV[2])
local past = {}
for index, found in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[3])) do
  if index > beyond and tonumber(string.match(found[1], '^%d+')) > oldest then
    break
  end
  local of = {}
  for at = 1, #found[2], 2 do
    of[found[2][at]] = found[2][at + 1]
  end
  past[index] = {found[1], of.id or '', of.token or '', of.player or '', of.season or ''}
end
return past
