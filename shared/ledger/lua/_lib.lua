-- Shared by every script: names of keys, time, moves, wake-ups, queues. Prepended by scripts.py are
-- `JOB_MOVES`, `SEGMENT_MOVES`, `DELIVERY_MOVES` and `BATCH_MOVES` from the tables in states.py, and from bell.py
-- `WAKEUP`, a message as Celery would write it, and `MOST_WAITING`; from meters.py `DURATION_BOUNDS`.

local BATCH_LANE_EVERY = 5        -- one claim in five looks at the batch lane first
local LEAD_MOST = 4096            -- phonemes, over share, that filling others' batches may cost one
local INTERACTIVE_HEAD_MS = 60000 -- how far ahead an interactive job enters a stage's queue
local LONG_AUDIO_S = 600          -- audio above which an assembly counts as long
local EXCERPTS = 30               -- attempts kept in a delivery's log
local USAGE_KEPT_S = 400 * 86400  -- after a day's last job; usage.py knows the same
local WARNINGS = 100              -- warnings kept per job; the rest are counted

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function job_key(uid, part)
  return 'kc:job:' .. uid .. (part and (':' .. part) or '')
end

local function batch_key(id, part)
  return 'kc:batch:' .. id .. (part and (':' .. part) or '')
end

local function lost(detail)
  return redis.error_reply('KCLOST ' .. detail)
end

local function check_move(moves, from, to)
  if not (from and moves[from] and moves[from][to]) then
    error({ err = 'KCMOVE ' .. tostring(from) .. ' to ' .. to })
  end
end

local function is_terminal(status)
  return next(JOB_MOVES[status]) == nil
end

local function move_job(uid, to)
  local from = redis.call('HGET', job_key(uid), 'status')
  check_move(JOB_MOVES, from, to)
  redis.call('HSET', job_key(uid), 'status', to)
  redis.call('HINCRBY', 'kc:jobs_by_status', from, -1)
  redis.call('HINCRBY', 'kc:jobs_by_status', to, 1)
end

local function count(name, by)
  redis.call('HINCRBYFLOAT', 'kc:totals', name, by or 1)
end

-- Adds to a histogram of `/metrics`: how often something took so long, by the least bound above.
local function observe(name, seconds)
  local bound = '+Inf'
  for _, most in ipairs(DURATION_BOUNDS) do
    if seconds <= tonumber(most) then bound = most break end
  end
  redis.call('HINCRBY', 'kc:durations', name .. '|' .. bound, 1)
  redis.call('HINCRBYFLOAT', 'kc:durations', name .. '|sum', seconds)
end

-- Leases ------------------------------------------------------------------------------------

-- The first of so many in a row (default 1). Never one that was given before, even if Redis comes
-- back without its last second: never below the clock.
local function next_token(many)
  local token = math.max(tonumber(redis.call('GET', 'kc:token') or '0') + 1, now_ms())
  redis.call('SET', 'kc:token', token + (many or 1) - 1)
  return token
end

-- An incarnation that claims is alive; its parent keeps it so.
local function hold(incarnation, lease_ms, item)
  redis.call('SET', 'kc:alive:' .. incarnation, '1', 'PX', lease_ms)
  redis.call('SADD', 'kc:incarnations', incarnation)
  redis.call('SADD', 'kc:held:' .. incarnation, item)
end

local function unhold(incarnation, item)
  return redis.call('SREM', 'kc:held:' .. incarnation, item) == 1
end

-- A late assembler, whose job may be its own worker's next process's by now, makes no room there.
local function unhold_assembly(incarnation, uid, token, worker)
  if unhold(incarnation, 'assemble|' .. uid .. '|' .. token .. '|' .. worker) then
    redis.call('SREM', 'kc:long:' .. worker, uid)
  end
end

-- Wake-ups ----------------------------------------------------------------------------------

-- Wakes one worker of a stage, once a script: what makes work available says so in the same step.
local rung = {}
local function ring(stage)
  local queue = 'kc.' .. stage
  if rung[stage] or redis.call('LLEN', queue) >= MOST_WAITING then return end
  rung[stage] = true
  local message = string.gsub(WAKEUP, '@(%l+)@', { id = 'wake-' .. next_token(), stage = stage })
  redis.call('LPUSH', queue, message)
end

-- Word of a job's progress, once a script: whoever follows the job then looks for himself.
local told = {}
local function tell(uid)
  if told[uid] then return end
  told[uid] = true
  redis.call('PUBLISH', 'kc:news:' .. uid, '')
end

-- Stage queues: plan and assemble -------------------------------------------------------------

-- What a job is made of that says a segment of another anew; gone once it is planned.
local SOURCE_PARTS = { 'anew', 'source', 'source_words', 'source_chapters' }

local function drop_source(uid)
  local keys = {}
  for i, part in ipairs(SOURCE_PARTS) do keys[i] = job_key(uid, part) end
  redis.call('UNLINK', unpack(keys))
end

local function stage_queue(uid, stage)
  -- In a queue of their own, which planners of the release before don't know: they would plan but
  -- the new text.
  if stage == 'plan' then
    return redis.call('HEXISTS', job_key(uid), 'redo') == 1 and 'kc:queue:redo' or 'kc:queue:plan'
  end
  local audio_s = tonumber(redis.call('HGET', job_key(uid), 'audio_s') or '0')
  return audio_s > LONG_AUDIO_S and 'kc:queue:assemble:long' or 'kc:queue:assemble'
end

local function enqueue_stage(uid, stage, now)
  local lane = redis.call('HGET', job_key(uid), 'lane')
  local score = now - (lane == 'interactive' and INTERACTIVE_HEAD_MS or 0)
  redis.call('HSET', job_key(uid), 'stage', stage)
  redis.call('ZADD', stage_queue(uid, stage), score, uid)
  ring(stage)
end

-- The fair queue of segments ------------------------------------------------------------------
-- Start-time fair queueing in two levels, keys then jobs: whoever was served least, by phonemes
-- over share, is next; who arrives enters at the clock, so waiting idle saves up nothing, or where
-- it left, so leaving and coming back saves nothing either. The clock is the least of those served:
-- who only fills a batch of alike lengths runs ahead, and must not take newcomers along.

local function lane_key(lane, owner)
  return 'kc:lane:' .. lane .. (owner and (':' .. owner) or '')
end

local function enter_fair(zset, member, clock_key, floor)
  if redis.call('ZSCORE', zset, member) then return end
  local clock = tonumber(redis.call('GET', clock_key) or '0')
  redis.call('ZADD', zset, math.max(clock, floor or 0), member)
end

local function offer_job(uid)
  redis.call('ZADD', 'kc:render_since', 'NX', now_ms(), uid)
  local f = redis.call('HMGET', job_key(uid), 'lane', 'owner', 'vtime')
  local lane, owner = f[1], f[2]
  local left_at = tonumber(redis.call('GET', lane_key(lane, owner) .. '#vtime') or '0')
  enter_fair(lane_key(lane), owner, lane_key(lane) .. '#clock', left_at)
  enter_fair(lane_key(lane, owner), uid, lane_key(lane, owner) .. '#clock', tonumber(f[3] or '0'))
  ring('synth')
end

local function withdraw_job(uid)
  redis.call('ZREM', 'kc:render_since', uid)
  local f = redis.call('HMGET', job_key(uid), 'lane', 'owner')
  local jobs = lane_key(f[1], f[2])
  redis.call('ZREM', jobs, uid)
  if redis.call('ZCARD', jobs) == 0 then redis.call('ZREM', lane_key(f[1]), f[2]) end
end

-- Adds to a member's score; the clock stands where the least of all does. Answers the score.
local function serve(zset, member, clock_key, cost, share)
  local least = tonumber(redis.call('ZRANGE', zset, 0, 0, 'WITHSCORES')[2])
  local score = tonumber(redis.call('ZSCORE', zset, member))
  redis.call('SET', clock_key, least, 'EX', 604800)
  score = math.max(score, math.min(score + cost / share, least + LEAD_MOST / share))
  redis.call('ZADD', zset, score, member)
  return score
end

local function charge(lane, owner, uid, share, cost)
  local jobs = lane_key(lane, owner)
  local score = serve(lane_key(lane), owner, lane_key(lane) .. '#clock', cost, share)
  redis.call('SET', jobs .. '#vtime', score, 'EX', 604800)
  redis.call('HSET', job_key(uid), 'vtime', serve(jobs, uid, jobs .. '#clock', cost, 1))
end

local function ready_length(member)
  return tonumber(string.match(member, ':(%d+)$'))
end

local function add_ready(uid, index, length)
  redis.call('ZADD', job_key(uid, 'ready'), index, index .. ':' .. length)
  redis.call('INCR', 'kc:waiting_segments')
  redis.call('INCRBY', 'kc:waiting_phonemes', length)
end

local function drop_ready(uid, member)
  if redis.call('ZREM', job_key(uid, 'ready'), member) == 0 then return end
  redis.call('DECR', 'kc:waiting_segments')
  redis.call('DECRBY', 'kc:waiting_phonemes', ready_length(member))
end

-- What is ahead in each lane: `left`, the phonemes planned and not done; `unplanned`, the characters
-- not planned yet. A job that an older release accepted has no such fields and is not counted.

local function add_ahead(uid, name, by)
  local f = redis.call('HMGET', job_key(uid), name, 'lane')
  if not f[1] then return end
  by = math.max(by, -tonumber(f[1]))
  if by == 0 then return end -- Redis 7.0 writes Lua's -0 as '-0', and takes that for no integer
  redis.call('HINCRBY', job_key(uid), name, by)
  redis.call('HINCRBY', 'kc:ahead', f[2] .. '.' .. name, by)
end

-- How many jobs of a lane wait for a device, about: of its first owners, and as many of each other.
local OWNERS_COUNTED = 16
local function jobs_in_lane(lane)
  local owners = redis.call('ZRANGE', lane_key(lane), 0, OWNERS_COUNTED - 1)
  local jobs = 0
  for _, owner in ipairs(owners) do jobs = jobs + redis.call('ZCARD', lane_key(lane, owner)) end
  if #owners == OWNERS_COUNTED then jobs = jobs * redis.call('ZCARD', lane_key(lane)) / #owners end
  return jobs
end

-- Deliveries: one queue a host, so that a slow receiver delays nobody else's webhooks -----------

local function offer_host(host)
  local first = redis.call('ZRANGE', 'kc:due:' .. host, 0, 0, 'WITHSCORES')
  if first[1] then
    redis.call('ZADD', 'kc:due', first[2], host)
    if tonumber(first[2]) <= now_ms() then ring('deliver') end
  else
    redis.call('ZREM', 'kc:due', host)
  end
end

local function move_delivery(id, to)
  local from = redis.call('HGET', 'kc:delivery:' .. id, 'status')
  check_move(DELIVERY_MOVES, from, to)
  redis.call('HSET', 'kc:delivery:' .. id, 'status', to)
end

local function schedule_delivery(id, at_ms)
  local host = redis.call('HGET', 'kc:delivery:' .. id, 'host')
  redis.call('HSET', 'kc:delivery:' .. id, 'next_ms', at_ms)
  redis.call('ZADD', 'kc:due:' .. host, at_ms, id)
  offer_host(host)
end

-- A webhook of a job or a batch, if it wants one of this event. `key` names its record.
local function write_outbox(key, subject, event, now)
  local f = redis.call('HMGET', key, 'webhook_url', 'webhook_host', 'webhook_events', 'owner')
  if not f[1] or not string.find(' ' .. f[3] .. ' ', ' ' .. event .. ' ', 1, true) then return end
  local kind, name = string.match(subject, '^(%l+)_(.*)$')
  local id = 'msg_' .. (kind == 'batch' and 'B' or '') .. name .. '_' .. redis.call('LLEN', key .. ':deliveries')
  redis.call('HSET', 'kc:delivery:' .. id, 'id', id, 'job', subject, 'owner', f[4], 'event', event,
    'url', f[1], 'host', f[2], 'status', 'pending', 'attempts', 0, 'created_ms', now)
  redis.call('RPUSH', key .. ':deliveries', id)
  schedule_delivery(id, now)
end

-- Takes the webhooks of a record that is forgotten out of the outbox.
local function drop_deliveries(key)
  for _, id in ipairs(redis.call('LRANGE', key .. ':deliveries', 0, -1)) do
    local host = redis.call('HGET', 'kc:delivery:' .. id, 'host')
    redis.call('ZREM', 'kc:due:' .. host, id)
    redis.call('SREM', 'kc:sending:' .. host, id)
    offer_host(host)
    redis.call('DEL', 'kc:delivery:' .. id, 'kc:delivery:' .. id .. ':log')
  end
  redis.call('DEL', key .. ':deliveries')
end

-- Batches: their counts and end are written in the step that ends the job -----------------------

local function move_batch(id, to)
  local from = redis.call('HGET', batch_key(id), 'status')
  check_move(BATCH_MOVES, from, to)
  redis.call('HSET', batch_key(id), 'status', to)
  redis.call('HINCRBY', 'kc:batches_by_status', from, -1)
  redis.call('HINCRBY', 'kc:batches_by_status', to, 1)
end

-- One of a batch's jobs has ended so: counted once, as a job ends once. With the last the batch ends.
local function count_in_batch(id, status, now)
  local batch = batch_key(id)
  redis.call('HINCRBY', batch, status, 1)
  if redis.call('HINCRBY', batch, 'open', -1) > 0 then return end
  local ended = redis.call('HEXISTS', batch, 'cancel_ms') == 1 and 'canceled' or 'completed'
  move_batch(id, ended)
  redis.call('HSET', batch, 'completed_ms', now)
  write_outbox(batch, id, 'batch.' .. ended, now)
  redis.call('PUBLISH', 'kc:ended', id)
end

-- One of a batch's jobs is forgotten; with the last the batch is.
local function forget_in_batch(id)
  local batch = batch_key(id)
  if redis.call('HINCRBY', batch, 'records', -1) > 0 then return end
  local f = redis.call('HMGET', batch, 'owner', 'status', 'idempotency_key')
  redis.call('ZREM', 'kc:batches:' .. f[1], id)
  redis.call('HINCRBY', 'kc:batches_by_status', f[2], -1)
  if f[3] and redis.call('HGET', f[3], 'uid') == id then redis.call('DEL', f[3]) end
  drop_deliveries(batch)
  redis.call('DEL', batch, batch_key(id, 'jobs'))
end

-- Lexicons: each text is kept once, and counted by who may still need it: the versions of its name,
-- and the jobs that have not ended -------------------------------------------------------------

local function lexicon_key(digest)
  return 'kc:lexicon:' .. digest
end

local function need_lexicon(digest, times)
  redis.call('HINCRBY', lexicon_key(digest), 'needs', times or 1)
end

local function spare_lexicon(digest)
  if redis.call('HINCRBY', lexicon_key(digest), 'needs', -1) > 0 then return end
  local f = redis.call('HMGET', lexicon_key(digest), 'owner', 'bytes')
  if f[1] then redis.call('HINCRBY', 'kc:lexicon_bytes', f[1], -f[2]) end
  redis.call('DEL', lexicon_key(digest))
end

-- Keeps a warning, or counts it where there are many already.
local function warn(uid, warning)
  if redis.call('LLEN', job_key(uid, 'warnings')) < WARNINGS then
    redis.call('RPUSH', job_key(uid, 'warnings'), warning)
  end
  redis.call('HINCRBY', job_key(uid), 'warnings_total', 1)
end

-- The end of a job: status, place in every queue, its webhook row, and word to whoever holds an
-- answer back for it, in one script --------------------------------------------------------------

-- What a job came to, for its owner, on the day it ended. Counted once, should it ever end anew.
local function count_usage(uid, owner, status, now)
  local job = job_key(uid)
  if redis.call('HSETNX', job, 'usage', 1) == 0 then return end
  local day = 'kc:usage:' .. owner .. ':' .. math.floor(now / 86400000)
  redis.call('HINCRBY', day, 'jobs.' .. status, 1)
  if status == 'succeeded' then
    local f = redis.call('HMGET', job, 'input_chars', 'audio_s')
    redis.call('HINCRBY', day, 'chars', f[1])
    redis.call('HINCRBYFLOAT', day, 'audio_s', f[2])
    redis.call('ZINCRBY', 'kc:used_chars', f[1], owner)
    redis.call('HINCRBYFLOAT', 'kc:used_audio_s', owner, f[2])
  end
  redis.call('EXPIRE', day, USAGE_KEPT_S)
end

local function end_job(uid, status, now, fields)
  move_job(uid, status)
  local job = job_key(uid)
  for name, value in pairs(fields or {}) do redis.call('HSET', job, name, value) end
  local f = redis.call('HMGET', job, 'ttl_s', 'input_chars', 'owner', 'lexicons', 'batch', 'lane',
    'created_ms')
  count('ended.' .. status)
  count_usage(uid, f[3], status, now)
  if status == 'succeeded' then observe('job.' .. f[6], (now - f[7]) / 1000) end
  for digest in string.gmatch(f[4] or '', ':(%x+)') do spare_lexicon(digest) end
  local expires = now + tonumber(f[1]) * 1000
  redis.call('HSET', job, 'completed_ms', now, 'expires_ms', expires, 'stage', '')
  withdraw_job(uid)
  redis.call('ZREM', 'kc:queue:plan', uid)
  redis.call('ZREM', 'kc:queue:redo', uid)
  redis.call('ZREM', 'kc:queue:assemble', uid)
  redis.call('ZREM', 'kc:queue:assemble:long', uid)
  redis.call('ZREM', 'kc:deadlines', uid)
  redis.call('ZADD', 'kc:expiries', expires, uid)
  for _, member in ipairs(redis.call('ZRANGE', job_key(uid, 'ready'), 0, -1)) do
    drop_ready(uid, member)
  end
  redis.call('DEL', job_key(uid, 'input'), job_key(uid, 'payload'), job_key(uid, 'words'))
  drop_source(uid)
  redis.call('DECRBY', 'kc:queued_chars', f[2])
  redis.call('DECRBY', 'kc:queued_chars:' .. f[3], f[2])
  redis.call('DECR', 'kc:queued_jobs')
  add_ahead(uid, 'left', -math.huge)
  add_ahead(uid, 'unplanned', -math.huge)
  write_outbox(job, uid, 'job.' .. status, now)
  if f[5] then count_in_batch(f[5], status, now) end
  redis.call('PUBLISH', 'kc:ended', uid)
  tell(uid)
end

local function fail_job(uid, code, message, now)
  count('failed.' .. code)
  end_job(uid, 'failed', now, { error_code = code, error_message = message })
end

-- Begins a stage of a job that was taken off the stage's queue: counts the attempt and answers its
-- token, or nil when the job wants no more work, its time is over or its attempts are used up.
local function begin_stage(uid, stage, cap, now)
  local job = job_key(uid)
  local f = redis.call('HMGET', job, 'status', 'deadline_ms', stage .. '_attempts', 'lane', 'created_ms')
  if not f[1] or is_terminal(f[1]) then return nil end
  if now >= tonumber(f[2]) then
    end_job(uid, 'expired', now)
    return nil
  end
  if tonumber(f[3] or '0') >= cap then
    fail_job(uid, 'poison', 'Its stage ' .. stage .. ' ended the worker ' .. cap .. ' times.', now)
    return nil
  end
  if f[1] == 'queued' then
    move_job(uid, 'processing')
    redis.call('HSET', job, 'started_ms', now)
    observe('start.' .. f[4], (now - f[5]) / 1000)
    tell(uid)
  end
  local token = next_token()
  redis.call('HINCRBY', job, stage .. '_attempts', 1)
  redis.call('HSET', job, stage .. '_token', token, stage .. '_ms', now)
  return token
end

-- Segments ----------------------------------------------------------------------------------------

local function get_segment(uid, index)
  local text = redis.call('HGET', job_key(uid, 'segments'), index)
  return text and cjson.decode(text)
end

local function set_segment(uid, index, segment)
  redis.call('HSET', job_key(uid, 'segments'), index, cjson.encode(segment))
end

local function queue_assembly_if_whole(uid, now)
  local f = redis.call('HMGET', job_key(uid), 'planned', 'total', 'done')
  if f[1] == '1' and f[2] == f[3] then enqueue_stage(uid, 'assemble', now) end
end

-- Marks a segment done with stored audio; the caller has checked its token and its move.
local function complete_segment(uid, index, segment, key, samples, reused)
  if segment.status then add_ahead(uid, 'left', -segment.length) end -- else it never had to wait
  segment.status, segment.key, segment.samples, segment.reused = 'done', key, samples, reused or nil
  segment.token = nil
  set_segment(uid, index, segment)
  redis.call('HDEL', job_key(uid, 'payload'), index)
  redis.call('HINCRBY', job_key(uid), 'done', 1)
  redis.call('HINCRBYFLOAT', job_key(uid), 'audio_s', samples / 24000)
  if reused then
    redis.call('HINCRBY', job_key(uid), 'reused', 1)
    count('segments_reused')
  else
    redis.call('HINCRBY', job_key(uid), 'rendered', segment.length)
    redis.call('HINCRBYFLOAT', job_key(uid), 'rendered_s', samples / 24000)
  end
  tell(uid)
end

-- Where a worker stores a segment's audio: `worker.rendering` knows the same.
local function segment_key(hash, token)
  return 'segments/' .. string.sub(hash, 1, 2) .. '/' .. hash .. '/' .. token .. '.wav'
end

local function stored_audio(hash, now)
  local f = redis.call('HMGET', 'kc:audio:' .. hash, 'key', 'samples')
  if not f[1] then return nil end
  redis.call('ZADD', 'kc:audio_used', now, hash)
  return f[1], tonumber(f[2])
end

-- Gives a leased segment back; the caller takes it off what is held. What ended its worker ('died',
-- not 'stopped') is tried again alone; what was only claimed ahead had no part in it.
local function release_segment(uid, index, token, how, now)
  local segment = get_segment(uid, index)
  if not segment or segment.status ~= 'leased' or tostring(segment.token) ~= token then return end
  local begun = not segment.ahead
  -- Its audio may be stored and unrecorded; looked at when any late finisher is long gone.
  if begun then redis.call('ZADD', 'kc:orphans', now, segment.hash .. ':' .. token) end
  if is_terminal(redis.call('HGET', job_key(uid), 'status')) then return end
  check_move(SEGMENT_MOVES, segment.status, 'waiting')
  segment.status, segment.token, segment.ahead = 'waiting', nil, nil
  if begun and how == 'stopped' then
    segment.attempts = segment.attempts - 1
  elseif begun then
    segment.solo = true
    count('segment_releases')
  end
  set_segment(uid, index, segment)
  add_ready(uid, index, segment.length)
  offer_job(uid)
end
