-- All of the student's questions of one topic, due or not, and perhaps some that belonged to it
-- before; not those that are hidden.
-- Begins as believed.lua.
-- KEYS: ..., known links
-- ARGV: ..., the topic's field of the details, links to look up ...
-- Returns {'warm', confirmation or empty, links, found}: links has 1 for each known one, else 0;
-- found is id, detail, id, ... joined by NUL
local head, lists, list = unpack(call('HMGET', KEYS[3], '', '\0', ARGV[3]))
if not head or not lists or string.match(lists, '^%d+,?%d* (.*)$') ~= head then
  return {'cold', confirmation}
end
local hidden, ids = {}, {}
for _, id in ipairs(call('ZRANGEBYSCORE', KEYS[2], '+inf', '+inf')) do
  hidden[id] = true
end
for id in string.gmatch(list or '', '%Z+') do
  if not hidden[id] then
    ids[#ids + 1] = id
  end
end
local found = {}
-- Lua passes at most some 8,000 values at a time.
for first = 1, #ids, 5000 do
  local details = call('HMGET', KEYS[3], unpack(ids, first, math.min(first + 4999, #ids)))
  for index = 1, #details do
    -- A question without details was removed by hand.
    if details[index] then
      found[#found + 1] = ids[first + index - 1]
      found[#found + 1] = details[index]
    end
  end
end
local links = {}
for index = 4, #ARGV do
  links[#links + 1] = call('SISMEMBER', KEYS[5], ARGV[index])
end
return {'warm', confirmation, links, table.concat(found, '\0')}
