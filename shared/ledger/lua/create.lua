-- A job, its place in the queue and its idempotency record, or the reason why not.
-- ARGV: job as JSON, input, limits as JSON, and of one that says a segment of another job anew what
-- that one's segments say: index and text of each slice's in turn. Answers {verdict, uid or seconds}, and where there is a
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
    redis.call('ZRANK', stage_queue(found, 'plan'), found) or -1 }
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

local lexicons, missing = resolve_lexicons(owner, job.lexicons or {})
if missing then return { 'unknown_lexicon', missing } end
job.lexicons = lexicons

local gone = job.redo and source_gone(job.redo, owner)
if gone then return { gone, 0 } end

local refused = admit(owner, limits, 1, job.input_chars, now)
if refused then return refused end

write_job(uid, job, input, 4)
enter_jobs(owner, job.share, { job }, now)
if idempotency then
  redis.call('HSET', idempotency, 'uid', uid, 'payload', job.payload)
  redis.call('EXPIRE', idempotency, limits.idempotency_ttl_s)
end
if client then
  redis.call('HSET', job_key(uid), 'client_key', client)
  redis.call('HSET', client, 'uid', uid, 'payload', job.payload)
end
return answer('created', uid)
