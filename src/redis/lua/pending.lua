-- The submissions of some students that are still on their way to MariaDB.
-- KEYS: stream, then each student's pending submissions
-- Returns {head or false, id, entry, id, entry ...} for each student, in no order
local answers = {}
for student = 2, #KEYS do
  local fields = redis.call('HGETALL', KEYS[student])
  local answer = {false}
  for index = 1, #fields, 2 do
    if fields[index] == 'head' then
      answer[1] = fields[index + 1]
    elseif string.find(fields[index], '^%d+%-%d+$') then
      local entry = redis.call('XRANGE', KEYS[1], fields[index], fields[index])[1]
      if entry then
        answer[#answer + 1] = fields[index]
        answer[#answer + 1] = entry[2][6]
      end
    end
  end
  answers[student - 1] = answer
end
return answers
