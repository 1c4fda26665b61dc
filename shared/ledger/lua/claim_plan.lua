-- The next job whose text waits to be planned; with it the next bytes of that text, and how many
-- more such jobs there are. Of a job that says a segment of another anew all of the new text comes
-- each time. ARGV: incarnation, lease ms, attempts cap, most bytes.
local incarnation, lease_ms, cap = ARGV[1], ARGV[2], tonumber(ARGV[3])
local bytes_most = tonumber(ARGV[4])
local now = now_ms()

-- Whoever is first in either queue.
local function next_job()
  local queues, first = { 'kc:queue:plan', 'kc:queue:redo' }, {}
  for i, queue in ipairs(queues) do
    first[i] = tonumber(redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')[2] or math.huge)
  end
  return redis.call('ZPOPMIN', queues[first[2] < first[1] and 2 or 1])[1]
end

local function window(uid, from, redo)
  if redo then return redis.call('GET', job_key(uid, 'anew')) or '' end
  return redis.call('GETRANGE', job_key(uid, 'input'), from, from + bytes_most - 1)
end

for _ = 1, 100 do
  local uid = next_job()
  if not uid then return false end
  local token = begin_stage(uid, 'plan', cap, now)
  if token then
    hold(incarnation, lease_ms, 'plan|' .. uid .. '|' .. token)
    local f = redis.call('HMGET', job_key(uid), 'plan_bytes', 'plan_chars', 'spec', 'owner', 'engine',
      'id', 'total', 'lexicons', 'plan_state', 'redo')
    return { uid, token, f[1], f[2], f[3], f[4], f[5], f[6], f[7],
      f[8] or '', redis.call('ZCARD', 'kc:queue:plan') + redis.call('ZCARD', 'kc:queue:redo'),
      f[9] or '', f[10] or '', window(uid, f[1], f[10]) }
  end
end
return false
