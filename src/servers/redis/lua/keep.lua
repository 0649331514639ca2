-- Takes submissions that are in MariaDB out of the stream, and keeps them among those that were
-- written lately. One that is there already is kept from now on.
-- KEYS: stream, submissions by token, those written lately, then for each submission its student's
-- pending submissions
-- ARGV: group, then each submission's id and token
for index = 4, #KEYS do
  local id, token, pending = ARGV[2 * index - 6], ARGV[2 * index - 5], KEYS[index]
  local from, place = KEYS[1], id
  local found = redis.call('XRANGE', from, id, id)[1]
  if not found then
    local known = redis.call('HGET', pending, id)
    from, place = KEYS[3], known and string.match(known, '^%d+%-%d+')
    found = place and redis.call('XRANGE', from, place, place)[1]
  end
  if found then
    local of = {}
    for at = 1, #found[2], 2 do
      of[found[2][at]] = found[2][at + 1]
    end
    -- First of all: a Redis that is full refuses this, and then has done nothing.
    local written = redis.call('XADD', KEYS[3], '*', 'id', id, 'token', token, 'player', of.player or '',
      'season', of.season or '', 'entry', of.entry or '')
    redis.call('XDEL', from, place)
    redis.call('HSET', pending, id, written .. ' ' .. token)
    redis.call('HSET', KEYS[2], token, 'w' .. written)
  end
  redis.call('XACK', KEYS[1], ARGV[1], id)
end
return 1
