-- Whether the cache may be believed. Kept in the journal's Redis, which outlives the cache.
-- KEYS: trust
-- ARGV: what ('read' | 'lost' | 'found' | 'renew'), generation as the caller knows it ('lost') or that has to
--       be void ('renew'), run id of the cache
-- Returns {generation, state, run id, milliseconds since the cache was lost}
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local function text(number)
  return string.format('%.0f', number)
end
local trust = redis.call('HMGET', KEYS[1], 'generation', 'state', 'run_id', 'lost_at')
local generation, state, run_id, lost_at = tonumber(trust[1]), trust[2], trust[3], tonumber(trust[4])
local known = tonumber(ARGV[2])
local changed = false
if not generation then
  generation, state, run_id, lost_at, changed = micros, 'ok', '', 0, true
end
if ARGV[1] == 'lost' and state == 'ok' and generation == known then
  state, lost_at, changed = 'lost', micros, true
elseif ARGV[1] == 'found' and (state == 'lost' or run_id ~= ARGV[3]) then
  generation, state, run_id, changed = math.max(micros, generation + 1), 'ok', ARGV[3], true
elseif ARGV[1] == 'renew' then
  generation, changed = math.max(micros, generation + 1, known + 1), true
end
-- Changes nothing, but fails where nothing can be written: nobody could declare the cache lost in there.
if trust[1] then
  redis.call('HSETNX', KEYS[1], 'generation', '')
end
if changed then
  redis.call('HSET', KEYS[1], 'generation', text(generation), 'state', state, 'run_id', run_id, 'lost_at', text(lost_at or 0))
end
return {text(generation), state, run_id, math.floor((micros - (lost_at or 0)) / 1000)}
