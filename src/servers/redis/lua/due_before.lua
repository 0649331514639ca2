-- How a script counts what is due before each of some moments, in Unix seconds and ascending: its
-- arguments from the given one to the last. Leaves out the moments to which nothing is added.
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
