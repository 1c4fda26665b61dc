-- A rendered batch. ARGV: incarnation, batch as JSON: {segments: [{uid, index, token, hash, key,
-- samples, chars}], synthesis_s, worker, model, stand_in, precision}. Answers verdicts: '' or the key
-- of an object that nobody will use.
local incarnation = ARGV[1]
local batch = cjson.decode(ARGV[2])
local now = now_ms()
local verdicts, audio_s, chars = {}, 0, 0

for i, item in ipairs(batch.segments) do
  local uid, index = item.uid, item.index
  unhold(incarnation, 'segment|' .. uid .. '|' .. index .. '|' .. item.token)
  -- The audio is good whatever became of its job: the first of several equal ones is kept.
  local key, samples = stored_audio(item.hash, now)
  if key then
    verdicts[i] = key == item.key and '' or item.key
    -- Should the worker end before it deletes it.
    if key ~= item.key then redis.call('SADD', 'kc:garbage', item.key) end
  else
    key, samples = item.key, item.samples
    redis.call('HSET', 'kc:audio:' .. item.hash, 'key', key, 'samples', samples)
    redis.call('ZADD', 'kc:audio_used', now, item.hash)
    verdicts[i] = ''
  end
  local segment = get_segment(uid, index)
  if segment and segment.status == 'leased' and segment.token == item.token
      and not is_terminal(redis.call('HGET', job_key(uid), 'status')) then
    check_move(SEGMENT_MOVES, segment.status, 'done')
    complete_segment(uid, index, segment, key, samples, false)
    local job = job_key(uid)
    redis.call('HINCRBYFLOAT', job, 'synthesis_s', batch.synthesis_s / #batch.segments)
    redis.call('HSET', job, 'worker', batch.worker, 'model', batch.model, 'stand_in', batch.stand_in,
      'precision', batch.precision)
    if segment.attempts > tonumber(redis.call('HGET', job, 'attempts') or '0') then
      redis.call('HSET', job, 'attempts', segment.attempts)
    end
    queue_assembly_if_whole(uid, now)
  else
    count('segments_lost')
  end
  audio_s = audio_s + item.samples / 24000
  chars = chars + item.chars
end

count('batches')
count('segments_rendered', #batch.segments)
count('audio_s', audio_s)
count('synthesis_s', batch.synthesis_s)
redis.call('HINCRBY', 'kc:batch_sizes', #batch.segments, 1)
local bucket = 'kc:rate:' .. math.floor(now / 10000)
redis.call('HINCRBYFLOAT', bucket, 'chars', chars)
redis.call('HINCRBYFLOAT', bucket, 'audio_s', audio_s)
redis.call('HINCRBYFLOAT', bucket, 'busy_s', batch.synthesis_s)
redis.call('EXPIRE', bucket, 120)
return verdicts
