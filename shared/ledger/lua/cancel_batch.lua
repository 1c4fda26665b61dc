-- The client wants no more work for a batch: all its open jobs end. ARGV: id. Answers its status
-- before, or ''.
local id, now = ARGV[1], now_ms()
local status = redis.call('HGET', batch_key(id), 'status')
if not status then return '' end
if next(BATCH_MOVES[status]) == nil then return status end
redis.call('HSET', batch_key(id), 'cancel_ms', now)
for _, uid in ipairs(redis.call('LRANGE', batch_key(id, 'jobs'), 0, -1)) do
  local job_status = redis.call('HGET', job_key(uid), 'status')
  if job_status and not is_terminal(job_status) then end_job(uid, 'canceled', now) end
end
return status
