-- A batch and all its jobs, or the reason why not. ARGV: batch as JSON {id, owner, payload,
-- idempotency, metadata, webhook_…, jobs}, limits as JSON, then the input of each job. Answers
-- {verdict, id, seconds or what is missing, index of the job it is missing from}.
local batch = cjson.decode(ARGV[1])
local limits = cjson.decode(ARGV[2])
local now = now_ms()
local id, owner, jobs = batch.id, batch.owner, batch.jobs
local key = batch_key(id)

-- Said twice, because the first answer was lost on its way: created is created.
if redis.call('EXISTS', key) == 1 then return { 'created', id } end

local idempotency = batch.idempotency and ('kc:batch_idempotency:' .. owner .. ':' .. batch.idempotency)
if idempotency then
  local f = redis.call('HMGET', idempotency, 'uid', 'payload')
  if f[1] and redis.call('EXISTS', batch_key(f[1])) == 1 then
    return { f[2] == batch.payload and 'existing' or 'conflict', f[1] }
  end
end

local chars = 0
for i, job in ipairs(jobs) do
  chars = chars + job.input_chars
  local lexicons, missing = resolve_lexicons(owner, job.lexicons or {})
  if missing then return { 'unknown_lexicon', '', missing, i - 1 } end
  job.lexicons, job.batch = lexicons, id
end
-- To the rate a batch is one request; what it brings is bounded by its characters and jobs.
local refused = admit(owner, limits, #jobs, chars, now)
if refused then return { refused[1], '', refused[2] } end

redis.call('HSET', key, 'id', id, 'owner', owner, 'status', 'in_progress', 'created_ms', now,
  'total', #jobs, 'open', #jobs, 'records', #jobs, 'input_chars', chars, 'metadata', batch.metadata)
if batch.webhook_url then
  redis.call('HSET', key, 'webhook_url', batch.webhook_url, 'webhook_host', batch.webhook_host,
    'webhook_events', batch.webhook_events)
end
redis.call('ZADD', 'kc:batches:' .. owner, now, id)
redis.call('HINCRBY', 'kc:batches_by_status', 'in_progress', 1)
count('batches_accepted')
if idempotency then
  redis.call('HSET', key, 'idempotency_key', idempotency)
  redis.call('HSET', idempotency, 'uid', id, 'payload', batch.payload)
  redis.call('EXPIRE', idempotency, limits.idempotency_ttl_s)
end
for i, job in ipairs(jobs) do
  make_job(job, ARGV[2 + i], now)
  redis.call('RPUSH', batch_key(id, 'jobs'), job.uid)
end
return { 'created', id }
