-- The next job whose text waits to be planned. ARGV: incarnation, lease ms, attempts cap.
local incarnation, lease_ms, cap = ARGV[1], ARGV[2], tonumber(ARGV[3])
local now = now_ms()
for _ = 1, 100 do
  local popped = redis.call('ZPOPMIN', 'kc:queue:plan')
  local uid = popped[1]
  if not uid then return false end
  local job = job_key(uid)
  local f = redis.call('HMGET', job, 'status', 'deadline_ms', 'plan_attempts')
  if f[1] and not is_terminal(f[1]) then
    if now >= tonumber(f[2]) then
      end_job(uid, 'expired', now)
    elseif tonumber(f[3] or '0') >= cap then
      fail_job(uid, 'poison', 'Planning its text ended the worker ' .. cap .. ' times.', now)
    else
      if f[1] == 'queued' then
        move_job(uid, 'processing')
        redis.call('HSET', job, 'started_ms', now)
      end
      local token = next_token()
      redis.call('HINCRBY', job, 'plan_attempts', 1)
      redis.call('HSET', job, 'plan_token', token)
      hold(incarnation, lease_ms, 'plan|' .. uid .. '|' .. token)
      local g = redis.call('HMGET', job, 'plan_bytes', 'plan_chars', 'spec', 'owner', 'engine', 'id', 'total')
      return { uid, token, g[1], g[2], g[3], g[4], g[5], g[6], g[7] }
    end
  end
end
return false
