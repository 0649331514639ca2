-- What a submission or a filtered read needs to know of one student.
-- KEYS: active season, sorted set, details, fence, known links
-- ARGV: active season as the caller knows it, generation, fence for a cold cache, number of links,
--       links ..., ids ... (no id: every record)
-- Returns {'season', actual} | {'cold', links} | {'warm', links, head, records, details}
-- where links says 1 for each known one and details is a list in the order of ids, or id, detail, id, ...
local season = redis.call('GET', KEYS[1])
if season ~= ARGV[1] then
  return {'season', season}
end
local links = {}
local first_id = 5 + tonumber(ARGV[4])
for index = 5, first_id - 1 do
  links[#links + 1] = redis.call('SISMEMBER', KEYS[5], ARGV[index])
end
if redis.call('ZSCORE', KEYS[2], '') == ARGV[2] then
  local records = redis.call('ZCARD', KEYS[2])
  local head = redis.call('HGET', KEYS[3], '')
  if head and redis.call('HLEN', KEYS[3]) == records then
    local details
    if first_id > #ARGV then
      details = redis.call('HGETALL', KEYS[3])
    else
      details = redis.call('HMGET', KEYS[3], unpack(ARGV, first_id))
    end
    return {'warm', links, head, records - 1, details}
  end
end
redis.pcall('SET', KEYS[4], ARGV[3], 'EX', 60)
return {'cold', links}
