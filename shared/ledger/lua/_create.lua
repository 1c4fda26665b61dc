-- Shared by the scripts that accept jobs, one or many; comes after `_lib.lua`.

-- Nil if so many jobs with so many characters may be accepted now, and then their owner's rate is
-- charged, unless it is only `asking`; else the verdict why not.
local function admit(owner, limits, jobs, chars, now, asking)
  -- Rate: the generic cell rate algorithm, a bucket one minute deep.
  local period = 60000 / limits.rate_per_min
  -- Never further ahead than the bucket is deep, though Redis's clock was set back.
  local tat = tonumber(redis.call('GET', 'kc:rate_limit:' .. owner) or '0')
  tat = math.max(now, math.min(tat, now + 60000))
  if tat + period - now > 60000 then
    return { 'rate_limited', math.ceil((tat + period - 60000 - now) / 1000) }
  end
  local function over(key, cap)
    local queued = tonumber(redis.call('GET', key) or '0')
    -- What is above the cap is still taken when nothing else waits.
    return queued > 0 and queued + chars > cap
  end
  if over('kc:queued_chars:' .. owner, limits.key_max_queued_chars) then return { 'key_full', 0 } end
  local queued_jobs = tonumber(redis.call('GET', 'kc:queued_jobs') or '0')
  if over('kc:queued_chars', limits.max_queued_chars) or queued_jobs + jobs > limits.max_queued_jobs then
    return { 'full', 0 }
  end
  if asking then return nil end
  -- A rate beyond the clock's precision adds nothing to it, and Redis takes no time to live of 0.
  redis.call('SET', 'kc:rate_limit:' .. owner, tat + period, 'PX', math.max(1, math.ceil(tat + period - now)))
  return nil
end

-- What names of lexicons now stand for, `name@version:digest` each; or nil and the name that stands
-- for nothing.
local function resolve_lexicons(owner, wanted)
  local found = {}
  for i, reference in ipairs(wanted) do
    local name, version = string.match(reference, '^([^@]+)@?(%d*)$')
    local row = redis.call('HGET', 'kc:lexicons:' .. owner, name)
    for _, kept in ipairs(row and cjson.decode(row).versions or {}) do -- the newest is the last
      if version == '' or kept.version == tonumber(version) then
        found[i] = name .. '@' .. kept.version .. ':' .. kept.digest
      end
    end
    if not found[i] then return nil, reference end
  end
  return found
end

-- How long what a job is made of outlives its deadline: it goes with the job's end, but for one
-- that is ended by a release which knows nothing of it.
local SOURCE_GRACE_S = 3600

-- The verdict where no segment of that job can be said anew (any more).
local function source_gone(redo, owner)
  local f = redis.call('HMGET', job_key(redo.uid), 'owner', 'status', 'purged')
  if f[1] ~= owner or f[2] ~= 'succeeded' or f[3] then return 'source_gone' end
  if redis.call('HEXISTS', job_key(redo.uid, 'segments'), redo.segment) == 0 then return 'source_gone' end
end

-- Gives a job all that it needs of the one it is made from, whatever becomes of that one. Copying is
-- one command each: 12,360 segments take some milliseconds.
local function take_source(uid, redo, input, deadline_s, words)
  redis.call('HSET', job_key(uid), 'redo', redo.row)
  redis.call('SET', job_key(uid, 'anew'), input)
  redis.call('COPY', job_key(redo.uid, 'segments'), job_key(uid, 'source'))
  redis.call('COPY', job_key(redo.uid, 'chapters'), job_key(uid, 'source_chapters'))
  for i = words, #ARGV, 2 do redis.call('HSET', job_key(uid, 'source_words'), ARGV[i], ARGV[i + 1]) end
  for _, part in ipairs(SOURCE_PARTS) do
    redis.call('EXPIRE', job_key(uid, part), deadline_s + SOURCE_GRACE_S)
  end
end

-- What stands for a job of a batch until all of it is accepted: keys that no id leads to.
local function staged(uid)
  return 'staged:' .. uid
end

-- Writes what a job has for itself. `name`: its uid, or what stands for it until it is admitted.
-- `words`: of a job with `redo`, from which of the script's arguments on it is told what the other
-- job's segments say.
local function write_job(name, job, input, words)
  local key = job_key(name)
  redis.call('HSET', key, 'uid', job.uid, 'id', job.client_id or job.uid, 'owner', job.owner,
    'status', 'queued', 'stage', 'plan', 'ttl_s', job.ttl_s, 'input_chars', job.input_chars,
    'lane', job.lane, 'share', job.share, 'spec', job.spec, 'engine', job.engine,
    'payload', job.payload, 'total', 0, 'done', 0, 'reused', 0, 'audio_s', 0, 'planned', 0,
    'plan_bytes', 0, 'plan_chars', 0, 'vtime', 0, 'left', 0, 'unplanned', job.input_chars)
  if job.batch then redis.call('HSET', key, 'batch', job.batch) end
  if job.traceparent then redis.call('HSET', key, 'traceparent', job.traceparent) end
  if job.custom_id then redis.call('HSET', key, 'custom_id', job.custom_id) end
  if job.stand_in ~= nil then redis.call('HSET', key, 'stand_in', job.stand_in and 1 or 0) end
  for _, warning in ipairs(job.warnings or {}) do
    redis.call('RPUSH', job_key(name, 'warnings'), warning)
    redis.call('HINCRBY', key, 'warnings_total', 1)
  end
  if job.webhook_url then
    redis.call('HSET', key, 'webhook_url', job.webhook_url, 'webhook_host', job.webhook_host,
      'webhook_events', job.webhook_events)
  end
  if job.redo then
    take_source(name, job.redo, input, job.deadline_s, words)
  else
    redis.call('SET', job_key(name, 'input'), input)
  end
end

-- Puts admitted jobs of one owner, written and with their lexicons resolved, where they are found
-- and counted, and into the plan queue. At most 1,000: some commands name them all.
local function enter_jobs(owner, share, jobs, now)
  local chars, ahead, needs = 0, {}, {}
  local listed, deadlines, queues = {}, {}, {}
  for i, job in ipairs(jobs) do
    local uid, ends = job.uid, now + job.deadline_s * 1000
    redis.call('HSET', job_key(uid), 'created_ms', now, 'deadline_ms', ends)
    if job.lexicons and job.lexicons[1] then
      redis.call('HSET', job_key(uid), 'lexicons', table.concat(job.lexicons, ' '))
      -- They stay until the job has ended, whatever becomes of their names.
      for _, lexicon in ipairs(job.lexicons) do
        local digest = string.match(lexicon, ':(%x+)$')
        needs[digest] = (needs[digest] or 0) + 1
      end
    end
    if job.custom_id then redis.call('ZADD', 'kc:custom:' .. owner .. ':' .. job.custom_id, now, uid) end
    chars = chars + job.input_chars
    ahead[job.lane] = (ahead[job.lane] or 0) + job.input_chars
    listed[2 * i - 1], listed[2 * i] = now, uid
    deadlines[2 * i - 1], deadlines[2 * i] = ends, uid
    local queue = job.redo and stage_queue(uid, 'plan') or 'kc:queue:plan'
    queues[queue] = queues[queue] or {}
    table.insert(queues[queue], now - (job.lane == 'interactive' and INTERACTIVE_HEAD_MS or 0))
    table.insert(queues[queue], uid)
  end
  local bucket = 'kc:rate:' .. math.floor(now / 10000)
  for lane, of_lane in pairs(ahead) do
    redis.call('HINCRBY', 'kc:ahead', lane .. '.unplanned', of_lane)
    redis.call('HINCRBY', bucket, 'came.' .. lane, of_lane)
  end
  redis.call('EXPIRE', bucket, 180)
  for digest, times in pairs(needs) do need_lexicon(digest, times) end
  redis.call('HSET', 'kc:shares', owner, share)
  redis.call('ZADD', 'kc:jobs:' .. owner, unpack(listed))
  redis.call('ZADD', 'kc:deadlines', unpack(deadlines))
  redis.call('INCRBY', 'kc:queued_chars', chars)
  redis.call('INCRBY', 'kc:queued_chars:' .. owner, chars)
  redis.call('INCRBY', 'kc:queued_jobs', #jobs)
  redis.call('HINCRBY', 'kc:jobs_by_status', 'queued', #jobs)
  count('jobs_accepted', #jobs)
  for queue, places in pairs(queues) do redis.call('ZADD', queue, unpack(places)) end
  ring('plan')
end
