-- Counts what is due before each of some moments: the script's arguments from the given one to the
-- last, in Unix seconds, ascending. Stops once the count no longer grows.
local function due_before(schedule, first)
  local all = redis.call('ZCOUNT', schedule, '-inf', '(' .. ARGV[#ARGV])
  local counts = {}
  for index = first, #ARGV do
    local count = redis.call('ZCOUNT', schedule, '-inf', '(' .. ARGV[index])
    counts[#counts + 1] = count
    if count == all then
      break
    end
  end
  return counts
end
