-- The next job whose text waits to be planned, and last how many more do.
-- ARGV: incarnation, lease ms, attempts cap.
local incarnation, lease_ms, cap = ARGV[1], ARGV[2], tonumber(ARGV[3])
local now = now_ms()
for _ = 1, 100 do
  local uid = redis.call('ZPOPMIN', 'kc:queue:plan')[1]
  if not uid then return false end
  local token = begin_stage(uid, 'plan', cap, now)
  if token then
    hold(incarnation, lease_ms, 'plan|' .. uid .. '|' .. token)
    local f = redis.call('HMGET', job_key(uid), 'plan_bytes', 'plan_chars', 'spec', 'owner', 'engine',
      'id', 'total')
    return { uid, token, f[1], f[2], f[3], f[4], f[5], f[6], f[7],
      redis.call('ZCARD', 'kc:queue:plan') }
  end
end
return false
