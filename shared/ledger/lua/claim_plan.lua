-- The next job whose text waits to be planned; with it the next bytes of that text, and how many
-- more such jobs there are. ARGV: incarnation, lease ms, attempts cap, most bytes.
local incarnation, lease_ms, cap = ARGV[1], ARGV[2], tonumber(ARGV[3])
local bytes_most = tonumber(ARGV[4])
local now = now_ms()
for _ = 1, 100 do
  local uid = redis.call('ZPOPMIN', 'kc:queue:plan')[1]
  if not uid then return false end
  local token = begin_stage(uid, 'plan', cap, now)
  if token then
    hold(incarnation, lease_ms, 'plan|' .. uid .. '|' .. token)
    local f = redis.call('HMGET', job_key(uid), 'plan_bytes', 'plan_chars', 'spec', 'owner', 'engine',
      'id', 'total', 'lexicons', 'plan_state')
    return { uid, token, f[1], f[2], f[3], f[4], f[5], f[6], f[7],
      f[8] or '', redis.call('ZCARD', 'kc:queue:plan'), f[9] or '',
      redis.call('GETRANGE', job_key(uid, 'input'), f[1], f[1] + bytes_most - 1) }
  end
end
return false
