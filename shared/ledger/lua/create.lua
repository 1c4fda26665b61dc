-- A job, its place in the queue and its idempotency record, or the reason why not.
-- ARGV: job as JSON, input, limits as JSON. Answers {verdict, uid or seconds}, and where there is a
-- job of the caller's: its fields as JSON, and its place in the plan queue or -1.
local job = cjson.decode(ARGV[1])
local input = ARGV[2]
local limits = cjson.decode(ARGV[3])
local now = now_ms()
local uid, owner = job.uid, job.owner

-- All that is said of the job to its client, in the one answer: each further question would cost
-- the gateway as much as this.
local function answer(verdict, found)
  local row, fields = redis.call('HGETALL', job_key(found)), {}
  for i = 1, #row, 2 do fields[row[i]] = row[i + 1] end
  return { verdict, found, cjson.encode(fields),
    redis.call('ZRANK', 'kc:queue:plan', found) or -1 }
end

-- Said twice, because the first answer was lost on its way: created is created.
if redis.call('EXISTS', job_key(uid)) == 1 then return answer('created', uid) end

local function remembered(key)
  local f = redis.call('HMGET', key, 'uid', 'payload')
  if not f[1] or redis.call('EXISTS', job_key(f[1])) == 0 then return nil end
  if f[2] ~= job.payload then return { 'conflict', f[1] } end
  return answer('existing', f[1])
end

local idempotency = job.idempotency and ('kc:idempotency:' .. owner .. ':' .. job.idempotency)
local client = job.client_id and ('kc:client:' .. owner .. ':' .. job.client_id)
local earlier = (idempotency and remembered(idempotency)) or (client and remembered(client))
if earlier then return earlier end

-- Rate: the generic cell rate algorithm, a bucket one minute deep.
local period = 60000 / limits.rate_per_min
-- Never further ahead than the bucket is deep, though Redis's clock was set back.
local tat = tonumber(redis.call('GET', 'kc:rate_limit:' .. owner) or '0')
tat = math.max(now, math.min(tat, now + 60000))
if tat + period - now > 60000 then
  return { 'rate_limited', math.ceil((tat + period - 60000 - now) / 1000) }
end
local chars = job.input_chars
local function over(key, cap)
  local queued = tonumber(redis.call('GET', key) or '0')
  -- A job above the cap is still taken when nothing else waits.
  return queued > 0 and queued + chars > cap
end
if over('kc:queued_chars:' .. owner, limits.key_max_queued_chars) then return { 'key_full', 0 } end
if over('kc:queued_chars', limits.max_queued_chars)
    or tonumber(redis.call('GET', 'kc:queued_jobs') or '0') >= limits.max_queued_jobs then
  return { 'full', 0 }
end

-- A rate beyond the clock's precision adds nothing to it, and Redis takes no time to live of 0.
redis.call('SET', 'kc:rate_limit:' .. owner, tat + period, 'PX', math.max(1, math.ceil(tat + period - now)))
redis.call('HSET', job_key(uid), 'uid', uid, 'id', job.client_id or uid, 'owner', owner,
  'status', 'queued', 'stage', '', 'created_ms', now, 'deadline_ms', now + job.deadline_s * 1000,
  'ttl_s', job.ttl_s, 'input_chars', chars, 'lane', job.lane, 'share', job.share,
  'spec', job.spec, 'engine', job.engine, 'payload', job.payload, 'total', 0, 'done', 0,
  'reused', 0, 'audio_s', 0, 'planned', 0, 'plan_bytes', 0, 'plan_chars', 0, 'vtime', 0)
if job.stand_in ~= nil then
  redis.call('HSET', job_key(uid), 'stand_in', job.stand_in and 1 or 0)
end
if job.webhook_url then
  redis.call('HSET', job_key(uid), 'webhook_url', job.webhook_url, 'webhook_host',
    job.webhook_host, 'webhook_events', job.webhook_events)
end
redis.call('SET', job_key(uid, 'input'), input)
redis.call('ZADD', 'kc:jobs:' .. owner, now, uid)
if job.custom_id then
  redis.call('HSET', job_key(uid), 'custom_id', job.custom_id)
  redis.call('ZADD', 'kc:custom:' .. owner .. ':' .. job.custom_id, now, uid)
end
redis.call('ZADD', 'kc:deadlines', now + job.deadline_s * 1000, uid)
redis.call('INCRBY', 'kc:queued_chars', chars)
redis.call('INCRBY', 'kc:queued_chars:' .. owner, chars)
redis.call('INCR', 'kc:queued_jobs')
redis.call('HINCRBY', 'kc:jobs_by_status', 'queued', 1)
count('jobs_accepted')
if idempotency then
  redis.call('HSET', idempotency, 'uid', uid, 'payload', job.payload)
  redis.call('EXPIRE', idempotency, limits.idempotency_ttl_s)
end
if client then
  redis.call('HSET', job_key(uid), 'client_key', client)
  redis.call('HSET', client, 'uid', uid, 'payload', job.payload)
end
enqueue_stage(uid, 'plan', now)
return answer('created', uid)
