-- One planned slice. ARGV: uid, token, incarnation, slice as JSON {segments, bytes, chars, final,
-- warnings, speech, chapters, state}, and what the segments say or ''. Each segment is {record,
-- payload or nil}; the state is handed out with the next slice. A segment with a hash and no payload
-- was kept from another job: it can't be rendered, so its audio has to be there.
local uid, token, incarnation = ARGV[1], ARGV[2], ARGV[3]
local slice = cjson.decode(ARGV[4])
local now = now_ms()
local job = job_key(uid)
unhold(incarnation, 'plan|' .. uid .. '|' .. token)
local f = redis.call('HMGET', job, 'status', 'plan_token', 'total', 'plan_chars', 'plan_ms')
if f[2] ~= token or is_terminal(f[1]) then return lost('plan of ' .. uid) end
count('plan_chars', slice.chars - f[4])
observe('plan', math.max(0, now - (f[5] or now)) / 1000)

local index = tonumber(f[3])
if (ARGV[5] or '') ~= '' then redis.call('HSET', job_key(uid, 'words'), index, ARGV[5]) end
local waiting, to_render = false, 0
for _, planned in ipairs(slice.segments) do
  local segment = planned.record
  if segment.hash then
    local key, samples = stored_audio(segment.hash, now)
    if key then
      complete_segment(uid, index, segment, key, samples, true)
    elseif not planned.payload then
      local why = 'The audio of segment ' .. index .. ', which was to be kept, was deleted meanwhile.'
      fail_job(uid, 'segment_gone', why, now)
      return 1
    else
      segment.status, segment.attempts = 'waiting', 0
      set_segment(uid, index, segment)
      redis.call('HSET', job_key(uid, 'payload'), index, planned.payload)
      add_ready(uid, index, segment.length)
      waiting, to_render = true, to_render + segment.length
    end
  else -- a pause is silence of known length: born done
    segment.status = 'done'
    set_segment(uid, index, segment)
    redis.call('HINCRBY', job, 'done', 1)
    redis.call('HINCRBYFLOAT', job, 'audio_s', segment.samples / 24000)
  end
  index = index + 1
end
for _, warning in ipairs(slice.warnings) do warn(uid, warning) end
for _, chapter in ipairs(slice.chapters or {}) do
  redis.call('RPUSH', job_key(uid, 'chapters'), chapter)
  redis.call('HINCRBY', job, 'chapters', 1)
end
if slice.speech then redis.call('HSET', job, 'speech', 1) end
redis.call('HSET', job, 'total', index, 'plan_bytes', slice.bytes, 'plan_chars', slice.chars,
  'plan_attempts', 0, 'plan_token', '', 'plan_state', slice.state or '')
add_ahead(uid, 'left', to_render)
add_ahead(uid, 'unplanned', slice.final and -math.huge or f[4] - slice.chars)
redis.call('HINCRBY', job, 'to_render', to_render)
if waiting then
  offer_job(uid)
  -- From here on its pace is measured.
  redis.call('HSETNX', job, 'pace_total', redis.call('HGET', 'kc:totals', 'phonemes') or '0')
  redis.call('HSETNX', job, 'pace_ms', now)
end
tell(uid)

if not slice.final then
  enqueue_stage(uid, 'plan', now)
  return 1
end
redis.call('HSET', job, 'planned', 1, 'stage', 'render')
redis.call('DEL', job_key(uid, 'input'))
drop_source(uid)
if redis.call('HGET', job, 'speech') ~= '1' then
  local why = 'Nothing in the input could be pronounced in its language.'
  fail_job(uid, 'nothing_to_speak', why, now)
else
  queue_assembly_if_whole(uid, now)
end
return 1
