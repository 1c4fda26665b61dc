-- Audio of jobs whose time to live is over: swept, and the record says so. ARGV: record ttl ms.
local now = now_ms()
local uids = redis.call('ZRANGEBYSCORE', 'kc:expiries', '-inf', now, 'LIMIT', 0, 100)
for _, uid in ipairs(uids) do
  redis.call('ZREM', 'kc:expiries', uid)
  redis.call('HSET', job_key(uid), 'purged', 1)
  redis.call('DEL', job_key(uid, 'segments'), job_key(uid, 'files'))
  redis.call('SADD', 'kc:garbage', 'jobs/' .. uid .. '/')
  redis.call('ZADD', 'kc:records', now + tonumber(ARGV[1]), uid)
end
return #uids
