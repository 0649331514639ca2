-- What a submission needs to know of one student.
-- Begins as believed.lua.
-- KEYS: ..., known links
-- ARGV: ..., now, number of links, links ..., ids ... (no id: every record that is not hidden)
-- Returns {'warm', confirmation or empty, links, head, records, due, hidden, found}: links has 1
-- for each known one, else 0; records and due count all questions; hidden are those of the ids that
-- are hidden; found is id, detail, id, ...; both are joined by NUL

-- An older memora cached it, without the memories that the table has.
if marker < 2 ^ 52 then
  return {'cold', confirmation}
end
local records = call('ZCARD', KEYS[2])
local head, lists = unpack(call('HMGET', KEYS[3], '', '\0'))
-- The details have a field for each topic, and one that counts these.
local topics = string.match(lists or '', '^%d+')
if not head or not topics or call('HLEN', KEYS[3]) ~= records + 1 + topics then
  return {'cold', confirmation}
end
local links = {}
local first_id = 5 + tonumber(ARGV[4])
for index = 5, first_id - 1 do
  links[#links + 1] = call('SISMEMBER', KEYS[5], ARGV[index])
end
local found, hidden_ids = {}, {}
if first_id > #ARGV then
  local hidden = {}
  for _, id in ipairs(call('ZRANGEBYSCORE', KEYS[2], '+inf', '+inf')) do
    hidden[id] = true
  end
  local details = call('HGETALL', KEYS[3])
  for index = 1, #details, 2 do
    -- A field that begins with NUL is not a question's.
    if details[index] ~= '' and string.byte(details[index]) ~= 0 and not hidden[details[index]] then
      found[#found + 1], found[#found + 2] = details[index], details[index + 1]
    end
  end
else
  -- Anything is seldom hidden, and reading each date costs time.
  if call('ZCOUNT', KEYS[2], '+inf', '+inf') > 0 then
    for index, date in ipairs(call('ZMSCORE', KEYS[2], unpack(ARGV, first_id))) do
      if date == 'inf' then
        hidden_ids[#hidden_ids + 1] = ARGV[first_id + index - 1]
      end
    end
  end
  local details = call('HMGET', KEYS[3], unpack(ARGV, first_id))
  for index = 1, #details do
    if details[index] then
      found[#found + 1] = ARGV[first_id + index - 1]
      found[#found + 1] = details[index]
    end
  end
end
return {'warm', confirmation, links, head, records - 1, call('ZCOUNT', KEYS[2], '-inf', ARGV[3]),
  table.concat(hidden_ids, '\0'), table.concat(found, '\0')}
