-- Ends open jobs past their deadline. Answers {how many, ring deliver}.
local now = now_ms()
local ended, delivers = 0, 0
for _, uid in ipairs(redis.call('ZRANGEBYSCORE', 'kc:deadlines', '-inf', now, 'LIMIT', 0, 100)) do
  if end_job(uid, 'expired', now) then delivers = 1 end
  ended = ended + 1
end
return { ended, delivers }
