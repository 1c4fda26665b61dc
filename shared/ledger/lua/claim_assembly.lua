-- The next job whose segments are all done, how many more there are, and how many chapters it has.
-- ARGV: incarnation, lease ms, attempts cap, worker, most long ones this worker may have at a time. Long ones have a queue of their own, so that a
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
  local token = begin_stage(uid, 'assemble', cap, now)
  if token then
    hold(incarnation, lease_ms, 'assemble|' .. uid .. '|' .. token .. '|' .. worker)
    if long then redis.call('SADD', 'kc:long:' .. worker, uid) end
    redis.call('HDEL', job_key(uid), 'encoded', 'encoded_ms') -- of an attempt before
    local f = redis.call('HMGET', job_key(uid), 'spec', 'total', 'id', 'owner', 'chapters')
    local more = redis.call('ZCARD', 'kc:queue:assemble') + redis.call('ZCARD', 'kc:queue:assemble:long')
    return { uid, token, f[1], f[2], f[3], f[4], more, f[5] or 0 }
  end
end
return false
