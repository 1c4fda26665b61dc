-- The delivery that is longest due, of a host that has a free slot. ARGV: incarnation, lease ms,
-- deliveries a host may have at a time. Answers {id, token, attempt, job, url, event, created ms,
-- body or ''}.
local incarnation, lease_ms, slots = ARGV[1], ARGV[2], tonumber(ARGV[3])
local now = now_ms()
for _, host in ipairs(redis.call('ZRANGEBYSCORE', 'kc:due', '-inf', now, 'LIMIT', 0, 100)) do
  if redis.call('SCARD', 'kc:sending:' .. host) >= slots then
    -- Out of sight until one of its slots is free again.
    redis.call('ZREM', 'kc:due', host)
  else
    local id = redis.call('ZRANGEBYSCORE', 'kc:due:' .. host, '-inf', now, 'LIMIT', 0, 1)[1]
    if id then
      local token = next_token()
      redis.call('ZREM', 'kc:due:' .. host, id)
      offer_host(host)
      move_delivery(id, 'sending')
      redis.call('SADD', 'kc:sending:' .. host, id)
      local attempt = redis.call('HINCRBY', 'kc:delivery:' .. id, 'attempts', 1)
      redis.call('HSET', 'kc:delivery:' .. id, 'token', token)
      hold(incarnation, lease_ms, 'delivery|' .. id .. '|' .. token)
      -- Another thread may send meanwhile what else is due.
      if redis.call('ZCOUNT', 'kc:due', '-inf', now) > 0 then ring('deliver') end
      local f = redis.call('HMGET', 'kc:delivery:' .. id, 'job', 'url', 'event', 'created_ms', 'body')
      return { id, token, attempt, f[1], f[2], f[3], f[4], f[5] or '' }
    end
  end
end
return false
