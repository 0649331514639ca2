-- What a submission or a filtered read needs to know of one student.
-- KEYS: active season, sorted set, details, known links, confirmation that the cache may be
-- believed
-- ARGV: active season as the caller knows it, generation, number of links, links ..., ids ...
--       (no id: every record)
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
local head = redis.call('HGET', KEYS[3], '')
local marker = redis.call('ZSCORE', KEYS[2], '')
if marker ~= ARGV[2] or not head or redis.call('HLEN', KEYS[3]) ~= records then
  return {'cold', confirmation}
end
local links = {}
local first_id = 4 + tonumber(ARGV[3])
for index = 4, first_id - 1 do
  links[#links + 1] = redis.call('SISMEMBER', KEYS[4], ARGV[index])
end
local found = {}
if first_id > #ARGV then
  found = redis.call('HGETALL', KEYS[3])
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
