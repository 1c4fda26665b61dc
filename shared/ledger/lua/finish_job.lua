-- A job's files are stored. ARGV: uid, token, incarnation, worker, result as JSON, encode seconds,
-- warnings and chapters as JSON lists of texts, files of chapters as JSON {"<chapter>.<format>": text},
-- captions as JSON, costs of encoding as JSON {"<encoder>": {audio_s, cpu_s, wall_s}}.
local uid, token = ARGV[1], ARGV[2]

-- What encoding takes: of the processor by each encoder, by the clock beside that of late, and by all
-- around it, which weighs more the shorter the audio is. The longer the audio since, the less does
-- what was measured before count.
local MEMORY_AUDIO_S, HALF_LIFE_MS = 1800, 300000
local function add_measured(name, keep, fields)
  for field, value in pairs(fields) do
    local known = redis.call('HGET', 'kc:encode', name .. field)
    redis.call('HSET', 'kc:encode', name .. field, (known or 0) * keep + value)
  end
end
local function measure_encoding(uid, encode_s, costs, now)
  local audio_s = tonumber(redis.call('HGET', job_key(uid), 'audio_s'))
  local cpu_s, wall_s = 0, 0
  for name, cost in pairs(costs) do
    add_measured(name, math.exp(-cost.audio_s / MEMORY_AUDIO_S), { ['.audio_s'] = cost.audio_s, ['.cpu_s'] = cost.cpu_s })
    cpu_s, wall_s = cpu_s + cost.cpu_s, wall_s + cost.wall_s
  end
  local keep = math.exp(-audio_s / MEMORY_AUDIO_S)
  add_measured('*', keep, { ['.s'] = encode_s, ['.audio_s'] = audio_s, ['.jobs'] = 1 })
  if not next(costs) then return end
  local size = math.floor(math.log10(math.max(10, math.min(1000, audio_s))))
  add_measured('around|' .. size, keep, { ['.s'] = math.max(0, encode_s - wall_s), ['.audio_s'] = audio_s })
  local before = tonumber(redis.call('HGET', 'kc:encode', 'at_ms') or now)
  add_measured('', 2 ^ (-math.max(0, now - before) / HALF_LIFE_MS), { cpu_s = cpu_s, wall_s = wall_s })
  redis.call('HSET', 'kc:encode', 'at_ms', now)
end

unhold_assembly(ARGV[3], uid, token, ARGV[4])
local f = redis.call('HMGET', job_key(uid), 'status', 'assemble_token', 'assemble_ms')
-- Said twice, because the first answer was lost on its way: done is done.
if f[2] == token and f[1] == 'succeeded' then return 1 end
if f[2] ~= token or is_terminal(f[1]) then return lost('assembly of ' .. uid) end
count('encode_s', ARGV[6])
measure_encoding(uid, tonumber(ARGV[6]), cjson.decode(ARGV[11] or '{}'), now_ms())
for _, warning in ipairs(cjson.decode(ARGV[7] or '[]')) do warn(uid, warning) end
local chapters = cjson.decode(ARGV[8] or '[]')
if chapters[1] then
  redis.call('DEL', job_key(uid, 'chapters')) -- now with their places in the audio
  for _, chapter in ipairs(chapters) do redis.call('RPUSH', job_key(uid, 'chapters'), chapter) end
  redis.call('HSET', job_key(uid), 'chapters', #chapters)
end
for name, file in pairs(cjson.decode(ARGV[9] or '{}')) do
  redis.call('HSET', job_key(uid, 'files'), name, file)
end
local captions, now = ARGV[10] or '[]', now_ms()
observe('assemble', math.max(0, now - (f[3] or now)) / 1000)
end_job(uid, 'succeeded', now,
  { result = ARGV[5], encode_s = ARGV[6], captions = captions ~= '[]' and captions or nil })
return 1
