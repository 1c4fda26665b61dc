-- What is ahead of one owner's jobs in one lane, and how fast it goes. ARGV: lane, owner. Answers JSON.
local lane, owner = ARGV[1], ARGV[2]
local CAME_STRETCHES = 12
local function row(key)
  local flat, found = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do found[flat[i]] = tonumber(flat[i + 1]) end
  found[''] = 0 -- else an empty one would be a list
  return found
end

-- Of all owners with work in this lane, about, this one's part by its share.
local owners = redis.call('ZRANGE', lane_key(lane), 0, OWNERS_COUNTED - 1)
local shares, others = tonumber(redis.call('HGET', 'kc:shares', owner) or '1'), 0
for _, other in ipairs(owners) do
  if other ~= owner then
    others = others + tonumber(redis.call('HGET', 'kc:shares', other) or '1')
  end
end
if #owners == OWNERS_COUNTED then others = others * redis.call('ZCARD', lane_key(lane)) / #owners end

-- What a model takes that has to be loaded first, where no synth worker has one: the shortest of them.
local synth, assemblers, ready, cold_s = 0, 0, 0, nil
local function count_synth(state)
  synth = synth + 1
  if state.state ~= 'unloaded' and state.state ~= 'loading' then
    ready = ready + 1
  elseif state.load_s then
    local left_s = math.max(0, state.load_s - (state.loading_s or 0))
    cold_s = math.min(cold_s or left_s, left_s)
  end
end
for _, name in ipairs(redis.call('SMEMBERS', 'kc:workers')) do
  local role = string.match(name, '^(%l+)%.')
  if role == 'synth' then
    local state = redis.call('GET', 'kc:worker:' .. name)
    if state then count_synth(cjson.decode(state)) end
  elseif role == 'assemble' then
    local state = redis.call('GET', 'kc:worker:' .. name)
    if state then assemblers = assemblers + (cjson.decode(state).children or 1) end
  end
end

-- Characters that came in each of the last whole stretches of ten seconds.
local now, came = now_ms(), { interactive = {}, batch = {} }
for back = 1, CAME_STRETCHES do
  local bucket = 'kc:rate:' .. (math.floor(now / 10000) - back)
  local f = redis.call('HMGET', bucket, 'came.interactive', 'came.batch')
  came.interactive[back], came.batch[back] = tonumber(f[1] or '0'), tonumber(f[2] or '0')
end
return cjson.encode({
  now_ms = now,
  came = came,
  rendered = tonumber(redis.call('HGET', 'kc:totals', 'phonemes') or '0'),
  pace = row('kc:pace'),
  ahead = row('kc:ahead'),
  encode = row('kc:encode'),
  synth = synth,
  cold_s = ready == 0 and cold_s or 0,
  assemblers = assemblers,
  in_lane = jobs_in_lane(lane),
  of_owner = redis.call('ZCARD', lane_key(lane, owner)),
  owner_part = shares / (shares + others),
  to_plan = redis.call('ZCARD', 'kc:queue:plan') + redis.call('ZCARD', 'kc:queue:redo'),
  to_assemble = redis.call('ZCARD', 'kc:queue:assemble') + redis.call('ZCARD', 'kc:queue:assemble:long'),
  waiting_segments = tonumber(redis.call('GET', 'kc:waiting_segments') or '0'),
  waiting_phonemes = tonumber(redis.call('GET', 'kc:waiting_phonemes') or '0'),
})
