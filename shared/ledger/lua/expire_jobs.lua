-- Ends open jobs past their deadline. Answers how many. That a reconciler does its rounds is noted.
local now = now_ms()
redis.call('SET', 'kc:reconciled', now)
local ended = 0
for _, uid in ipairs(redis.call('ZRANGEBYSCORE', 'kc:deadlines', '-inf', now, 'LIMIT', 0, 100)) do
  end_job(uid, 'expired', now)
  ended = ended + 1
end
return ended
