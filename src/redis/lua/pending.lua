-- The student's submissions that are still on their way to MariaDB.
-- KEYS: stream, the student's pending submissions
-- Returns {head or false, payload ...}
local fields = redis.call('HGETALL', KEYS[2])
local answer = {false}
for index = 1, #fields, 2 do
  if fields[index] == 'head' then
    answer[1] = fields[index + 1]
  elseif string.find(fields[index], '^%d+%-%d+$') then
    local entry = redis.call('XRANGE', KEYS[1], fields[index], fields[index])[1]
    if entry then
      answer[#answer + 1] = entry[2][6]
    end
  end
end
return answer
