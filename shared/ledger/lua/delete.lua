-- Forgets a finished job; its objects are swept. ARGV: uid. Answers its status, or '' if unknown.
local uid = ARGV[1]
local job = job_key(uid)
local f = redis.call('HMGET', job, 'status', 'owner', 'custom_id', 'client_key', 'batch')
if not f[1] then return '' end
if not is_terminal(f[1]) then return f[1] end
redis.call('HINCRBY', 'kc:jobs_by_status', f[1], -1)
redis.call('SADD', 'kc:garbage', 'jobs/' .. uid .. '/')
redis.call('ZREM', 'kc:jobs:' .. f[2], uid)
redis.call('ZREM', 'kc:expiries', uid)
redis.call('ZREM', 'kc:records', uid)
if f[3] then redis.call('ZREM', 'kc:custom:' .. f[2] .. ':' .. f[3], uid) end
if f[4] and redis.call('HGET', f[4], 'uid') == uid then redis.call('DEL', f[4]) end
drop_deliveries(job)
redis.call('DEL', job, job_key(uid, 'segments'), job_key(uid, 'warnings'), job_key(uid, 'chapters'),
  job_key(uid, 'files'))
drop_source(uid)
if f[5] then forget_in_batch(f[5]) end
return f[1]
