-- Forgets a finished job; its objects are swept. ARGV: uid. Answers its status, or '' if unknown.
local uid = ARGV[1]
local job = job_key(uid)
local f = redis.call('HMGET', job, 'status', 'owner', 'custom_id', 'client_key')
if not f[1] then return '' end
if not is_terminal(f[1]) then return f[1] end
redis.call('HINCRBY', 'kc:jobs_by_status', f[1], -1)
redis.call('SADD', 'kc:garbage', 'jobs/' .. uid .. '/')
redis.call('ZREM', 'kc:jobs:' .. f[2], uid)
redis.call('ZREM', 'kc:expiries', uid)
redis.call('ZREM', 'kc:records', uid)
if f[3] then redis.call('ZREM', 'kc:custom:' .. f[2] .. ':' .. f[3], uid) end
if f[4] and redis.call('HGET', f[4], 'uid') == uid then redis.call('DEL', f[4]) end
for _, id in ipairs(redis.call('LRANGE', job_key(uid, 'deliveries'), 0, -1)) do
  local host = redis.call('HGET', 'kc:delivery:' .. id, 'host')
  redis.call('ZREM', 'kc:due:' .. host, id)
  redis.call('SREM', 'kc:sending:' .. host, id)
  offer_host(host)
  redis.call('DEL', 'kc:delivery:' .. id, 'kc:delivery:' .. id .. ':log')
end
redis.call('DEL', job, job_key(uid, 'segments'), job_key(uid, 'warnings'),
  job_key(uid, 'deliveries'), job_key(uid, 'chapters'), job_key(uid, 'files'))
return f[1]
