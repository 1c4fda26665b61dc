-- The client wants no more work for a batch: so many of its jobs end, if they are open, from one on;
-- what is left to do is noted until all are. ARGV: id, index of the first job, how many. Answers
-- {status before or '', index to go on with or -1}.
local id, first, most, now = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), now_ms()
local batch = batch_key(id)
local f = redis.call('HMGET', batch, 'status', 'total')
if not f[1] or next(BATCH_MOVES[f[1]]) == nil then
  redis.call('SREM', 'kc:canceling', id)
  return { f[1] or '', -1 }
end
for _, uid in ipairs(redis.call('LRANGE', batch_key(id, 'jobs'), first, first + most - 1)) do
  local status = redis.call('HGET', job_key(uid), 'status')
  if status and not is_terminal(status) then
    -- Only now: a batch whose jobs all ended by themselves, some between two slices, is completed.
    redis.call('HSETNX', batch, 'cancel_ms', now)
    end_job(uid, 'canceled', now)
  end
end
if first + most < tonumber(f[2]) then
  redis.call('SADD', 'kc:canceling', id)
  return { f[1], first + most }
end
redis.call('SREM', 'kc:canceling', id)
return { f[1], -1 }
