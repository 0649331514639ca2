-- What a submission needs to know of one student.
-- KEYS: active season, sorted set, details, known links, confirmation that the cache may be
-- believed
-- ARGV: active season as the caller knows it, generation, number of links, links ..., ids ...
-- (no id: every record)
-- Returns {'season', actual} | {'cold', confirmation or nothing} | {'warm', confirmation or
-- nothing, links, head, records, found} where links says 1 for each known one, and found is id,
-- detail, id, ... joined by NUL
local known = redis.call('MGET', KEYS[1], KEYS[5])
local season, confirmation = known[1], known[2] or ''
-- Redis 6.2 that is a replica shows to scripts what is over.
if confirmation ~= '' and redis.call('PTTL', KEYS[5]) <= 0 then
  confirmation = ''
end
if season ~= ARGV[1] then
  return {'season', season}
end
local records = redis.call('ZCARD', KEYS[2])
local head, lists = unpack(redis.call('HMGET', KEYS[3], '', '\0'))
local marker = redis.call('ZSCORE', KEYS[2], '')
-- The details have a field for each topic, and one that counts these.
local topics = string.match(lists or '', '^%d+')
if marker ~= ARGV[2] or not head or not topics
  or redis.call('HLEN', KEYS[3]) ~= records + 1 + topics then
  return {'cold', confirmation}
end
local links = {}
local first_id = 4 + tonumber(ARGV[3])
for index = 4, first_id - 1 do
  links[#links + 1] = redis.call('SISMEMBER', KEYS[4], ARGV[index])
end
local found = {}
if first_id > #ARGV then
  local details = redis.call('HGETALL', KEYS[3])
  for index = 1, #details, 2 do
    -- What begins with NUL belongs to a topic, or to all.
    if details[index] ~= '' and string.byte(details[index]) ~= 0 then
      found[#found + 1], found[#found + 2] = details[index], details[index + 1]
    end
  end
else
  local details = redis.call('HMGET', KEYS[3], unpack(ARGV, first_id))
  for index = 1, #details do
    if details[index] then
      found[#found + 1] = ARGV[first_id + index - 1]
      found[#found + 1] = details[index]
    end
  end
end
return {'warm', confirmation, links, head, records - 1, table.concat(found, '\0')}
