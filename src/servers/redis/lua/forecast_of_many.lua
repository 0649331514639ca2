-- How many questions of some students are due before each of some moments.
-- Begins as due_before.lua.
-- KEYS: sorted sets ...
-- ARGV: generation, moments ...
-- Returns {how many of the sets are complete, their total for each moment}
local students, sums = 0, {}
for index = 2, #ARGV do
  sums[index - 1] = 0
end
for _, schedule in ipairs(KEYS) do
  -- A key of the wrong type returns an error, which is not a generation.
  local marker = redis.pcall('ZSCORE', schedule, '')
  if type(marker) == 'string' and marker % 2 ^ 52 == tonumber(ARGV[1]) then
    students = students + 1
    local counts = due_before(schedule, 2)
    for index = 1, #sums do
      sums[index] = sums[index] + (counts[index] or counts[#counts])
    end
  end
end
return {students, sums}
