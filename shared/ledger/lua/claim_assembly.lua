-- The next job whose segments are all done. ARGV: incarnation, lease ms, attempts cap, worker,
-- most long ones this worker may have at a time. Long ones have a queue of their own, so that a
-- book being encoded keeps no sentence waiting.
local incarnation, lease_ms, cap = ARGV[1], ARGV[2], tonumber(ARGV[3])
local worker, long_most = ARGV[4], tonumber(ARGV[5])
local now = now_ms()

local function next_job()
  local popped = redis.call('ZPOPMIN', 'kc:queue:assemble')
  if popped[1] then return popped[1], false end
  if redis.call('SCARD', 'kc:long:' .. worker) >= long_most then return nil end
  popped = redis.call('ZPOPMIN', 'kc:queue:assemble:long')
  return popped[1], true
end

for _ = 1, 100 do
  local uid, long = next_job()
  if not uid then return false end
  local job = job_key(uid)
  local f = redis.call('HMGET', job, 'status', 'deadline_ms', 'assemble_attempts')
  if f[1] and not is_terminal(f[1]) then
    if now >= tonumber(f[2]) then
      end_job(uid, 'expired', now)
    elseif tonumber(f[3] or '0') >= cap then
      fail_job(uid, 'poison', 'Assembling its audio ended the worker ' .. cap .. ' times.', now)
    else
      local token = next_token()
      redis.call('HINCRBY', job, 'assemble_attempts', 1)
      redis.call('HSET', job, 'assemble_token', token)
      local item = 'assemble|' .. uid .. '|' .. token .. '|' .. worker
      hold(incarnation, lease_ms, item)
      if long then redis.call('SADD', 'kc:long:' .. worker, uid) end
      local g = redis.call('HMGET', job, 'spec', 'total', 'id', 'owner')
      return { uid, token, g[1], g[2], g[3], g[4] }
    end
  end
end
return false
