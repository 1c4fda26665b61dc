-- A batch and all its jobs, or the reason why not. ARGV: batch as JSON {id, owner, payload,
-- idempotency, metadata, webhook_…, traceparent, total, input_chars, share, jobs}, limits as JSON. Each of `jobs`
-- is staged: {uid, lane, input_chars, deadline_s, custom_id, lexicons, warned}; without `jobs` it is
-- only asked whether they would be accepted. Answers {verdict, id, seconds or what is missing, index
-- of the job it is missing from}; `staged` for the verdict if all is well with a question, `gone` if
-- what was staged is not there any more.
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

for i, job in ipairs(jobs or {}) do
  if job.lexicons then
    local lexicons, missing = resolve_lexicons(owner, job.lexicons)
    if missing then return { 'unknown_lexicon', '', missing, i - 1 } end
    job.lexicons = lexicons
  end
end
local keys = {}
for _, job in ipairs(jobs or {}) do
  table.insert(keys, job_key(staged(job.uid)))
  table.insert(keys, job_key(staged(job.uid), 'input'))
end
if jobs and redis.call('EXISTS', unpack(keys)) ~= #keys then return { 'gone', '' } end
-- To the rate a batch is one request; what it brings is bounded by its characters and jobs.
local refused = admit(owner, limits, batch.total, batch.input_chars, now, not jobs)
if refused then return { refused[1], '', refused[2] } end
if not jobs then return { 'staged', '' } end

redis.call('HSET', key, 'id', id, 'owner', owner, 'status', 'in_progress', 'created_ms', now,
  'total', #jobs, 'open', #jobs, 'records', #jobs, 'input_chars', batch.input_chars,
  'metadata', batch.metadata)
if batch.webhook_url then
  redis.call('HSET', key, 'webhook_url', batch.webhook_url, 'webhook_host', batch.webhook_host,
    'webhook_events', batch.webhook_events)
end
if batch.traceparent then redis.call('HSET', key, 'traceparent', batch.traceparent) end
redis.call('ZADD', 'kc:batches:' .. owner, now, id)
redis.call('HINCRBY', 'kc:batches_by_status', 'in_progress', 1)
count('batches_accepted')
if idempotency then
  redis.call('HSET', key, 'idempotency_key', idempotency)
  redis.call('HSET', idempotency, 'uid', id, 'payload', batch.payload)
  redis.call('EXPIRE', idempotency, limits.idempotency_ttl_s)
end
local uids = {}
for i, job in ipairs(jobs) do
  uids[i] = job.uid
  for _, part in ipairs(job.warned and { false, 'input', 'warnings' } or { false, 'input' }) do
    redis.call('RENAME', job_key(staged(job.uid), part), job_key(job.uid, part))
    redis.call('PERSIST', job_key(job.uid, part))
  end
end
redis.call('RPUSH', batch_key(id, 'jobs'), unpack(uids))
enter_jobs(owner, batch.share, jobs, now)
return { 'created', id }
