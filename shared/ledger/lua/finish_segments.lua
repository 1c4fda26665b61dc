-- A rendered batch. ARGV: incarnation, batch as JSON: {segments: [{uid, index, token, hash, key,
-- samples, chars, phonemes}], synthesis_s, store_s, worker, model, stand_in, precision, speech:
-- {voice: [seconds at speed 1, phonemes]}}. Answers verdicts: '' or the key of an object that nobody will use.
local incarnation = ARGV[1]
local batch = cjson.decode(ARGV[2])
if #batch.segments == 0 then return {} end -- all of it was lost before it began: nothing was rendered
local now = now_ms()
local verdicts, audio_s, chars, phonemes, longest = {}, 0, 0, 0, 0
local own = {} -- phonemes of each job in it

-- Said twice, because the first answer was lost on its way: the verdicts are the same, and nothing is
-- counted again. Of each process the last few batches are known, by their first token, for an hour.
local SAID, SAID_S = 16, 3600
local said, first = 'kc:said:' .. incarnation, batch.segments[1].token
local fresh = redis.call('ZADD', said, 'NX', first, first) == 1
redis.call('ZREMRANGEBYRANK', said, 0, -SAID - 1)
redis.call('EXPIRE', said, SAID_S)

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
    own[uid] = (own[uid] or 0) + segment.length
    local job = job_key(uid)
    redis.call('HINCRBYFLOAT', job, 'synthesis_s', batch.synthesis_s / #batch.segments)
    redis.call('HSET', job, 'worker', batch.worker, 'model', batch.model, 'stand_in', batch.stand_in,
      'precision', batch.precision)
    if segment.attempts > tonumber(redis.call('HGET', job, 'attempts') or '0') then
      redis.call('HSET', job, 'attempts', segment.attempts)
    end
    queue_assembly_if_whole(uid, now)
  elseif fresh then
    count('segments_lost')
  end
  audio_s = audio_s + item.samples / 24000
  chars = chars + item.chars
  local length = item.phonemes or segment and segment.length or 0
  phonemes, longest = phonemes + length, math.max(longest, length)
end

if not fresh then return verdicts end
count('batches')
count('segments_rendered', #batch.segments)
count('audio_s', audio_s)
count('synthesis_s', batch.synthesis_s)
count('chars', chars)
count('padded_phonemes', longest * #batch.segments)
observe('synth', batch.synthesis_s)
if batch.store_s then observe('store', batch.store_s) end
redis.call('HINCRBY', 'kc:batch_sizes', #batch.segments, 1)
local bucket = 'kc:rate:' .. math.floor(now / 10000)
redis.call('HINCRBYFLOAT', bucket, 'chars', chars)
redis.call('HINCRBYFLOAT', bucket, 'audio_s', audio_s)
redis.call('HINCRBYFLOAT', bucket, 'busy_s', batch.synthesis_s)
redis.call('EXPIRE', bucket, 180)

-- What the devices do when busy. It is kept however long they idle; half of it is forgotten for
-- every so many seconds that one of them works.
local HALF_LIFE_S = 20
local names = { 'phonemes', 'chars', 'audio_s', 'busy_s', 'segments', 'batches' }
local known = redis.call('HMGET', 'kc:pace', unpack(names))
local keep = 2 ^ (-batch.synthesis_s / HALF_LIFE_S)
for i, new in ipairs({ phonemes, chars, audio_s, batch.synthesis_s, #batch.segments, 1 }) do
  redis.call('HSET', 'kc:pace', names[i], (known[i] or 0) * keep + new)
end
redis.call('HSET', 'kc:pace', 'at_ms', now)
for voice, said in pairs(batch.speech or {}) do
  redis.call('HINCRBYFLOAT', 'kc:speech', voice .. '.s', said[1])
  redis.call('HINCRBYFLOAT', 'kc:speech', voice .. '.phonemes', said[2])
end

-- How a job gets on beside the others: of late, its own phonemes, what it would have had if all of its
-- lane had the same, everybody's, and the seconds and batches that took.
local total = redis.call('HINCRBYFLOAT', 'kc:totals', 'phonemes', phonemes)
local in_lane = {}
local function measure_pace(uid)
  local job = job_key(uid)
  local f = redis.call('HMGET', job, 'lane', 'pace_ms', 'pace_total', 'left', 'pace_own',
    'pace_even', 'pace_all', 'pace_s', 'pace_batches')
  if not f[2] or tonumber(f[4]) == 0 then return end
  local seconds, all = (now - f[2]) / 1000, total - f[3]
  -- Nobody was served for long: no pace, but workers that were away.
  if seconds > math.max(30, 5 * batch.synthesis_s) and all <= phonemes then
    redis.call('HSET', job, 'pace_ms', now, 'pace_total', total)
    return
  end
  local lane = f[1]
  in_lane[lane] = in_lane[lane] or math.max(1, jobs_in_lane(lane))
  local s, batches = tonumber(f[8] or 0), tonumber(f[9] or 0)
  local memory_s = math.max(10, batches > 0 and 4 * s / batches or 0)
  local keep = math.exp(-seconds / memory_s)
  redis.call('HSET', job, 'pace_ms', now, 'pace_total', total,
    'pace_own', (f[5] or 0) * keep + own[uid], 'pace_even', (f[6] or 0) * keep + all / in_lane[lane],
    'pace_all', (f[7] or 0) * keep + all, 'pace_s', s * keep + seconds,
    'pace_batches', batches * keep + 1)
end
for uid in pairs(own) do measure_pace(uid) end
return verdicts
