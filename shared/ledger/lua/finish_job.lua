-- A job's files are stored. ARGV: uid, token, incarnation, worker, result as JSON, encode seconds,
-- warnings and chapters as JSON lists of texts, files of chapters as JSON {"<chapter>.<format>": text},
-- captions as JSON.
local uid, token = ARGV[1], ARGV[2]

-- What encoding takes, by the formats asked for and how long the audio is: a short one is mostly
-- overhead. The longer the audio since, the less does what was measured before count.
local MEMORY_AUDIO_S = 1800
local function measure_encoding(uid, encode_s)
  local f = redis.call('HMGET', job_key(uid), 'spec', 'audio_s')
  local audio_s = tonumber(f[2])
  local formats = cjson.decode(f[1]).outputs
  table.sort(formats)
  local size = math.floor(math.log10(math.max(10, math.min(1000, audio_s))))
  for _, name in ipairs({ table.concat(formats, '+') .. '|' .. size, '*' }) do
    local known = redis.call('HMGET', 'kc:encode', name .. '.s', name .. '.audio_s', name .. '.jobs')
    local keep = math.exp(-audio_s / MEMORY_AUDIO_S)
    redis.call('HSET', 'kc:encode', name .. '.s', (known[1] or 0) * keep + encode_s,
      name .. '.audio_s', (known[2] or 0) * keep + audio_s, name .. '.jobs', (known[3] or 0) * keep + 1)
  end
end

unhold_assembly(ARGV[3], uid, token, ARGV[4])
local f = redis.call('HMGET', job_key(uid), 'status', 'assemble_token', 'assemble_ms')
-- Said twice, because the first answer was lost on its way: done is done.
if f[2] == token and f[1] == 'succeeded' then return 1 end
if f[2] ~= token or is_terminal(f[1]) then return lost('assembly of ' .. uid) end
count('encode_s', ARGV[6])
measure_encoding(uid, tonumber(ARGV[6]))
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
