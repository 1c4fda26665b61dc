-- Takes back all that an incarnation held. ARGV: incarnation, 'died' or 'stopped'. What was stopped
-- on purpose gives its attempts back; what died keeps them, but for segments only claimed ahead. A live lease is left alone unless the
-- caller owns it ('stopped', or 'died' as reported by the parent: ARGV[3] = '1').
local incarnation, how, certain = ARGV[1], ARGV[2], ARGV[3] == '1'
if not certain and redis.call('EXISTS', 'kc:alive:' .. incarnation) == 1 then return 0 end
local now = now_ms()

local function release_stage(uid, stage, token)
  local f = redis.call('HMGET', job_key(uid), 'status', stage .. '_token')
  if f[2] ~= token or is_terminal(f[1]) then return end
  redis.call('HSET', job_key(uid), stage .. '_token', '')
  if how == 'stopped' then redis.call('HINCRBY', job_key(uid), stage .. '_attempts', -1) end
  enqueue_stage(uid, stage, now)
end

local function release_delivery(id, token)
  local f = redis.call('HMGET', 'kc:delivery:' .. id, 'status', 'token', 'host', 'attempts')
  if f[1] ~= 'sending' or f[2] ~= token then return end
  redis.call('SREM', 'kc:sending:' .. f[3], id)
  local wait_ms = 0
  if how == 'stopped' then
    redis.call('HINCRBY', 'kc:delivery:' .. id, 'attempts', -1)
  elseif tonumber(f[4]) > 1 then -- the first death may be chance; one that kills again must not spin
    wait_ms = math.min(5000 * 2 ^ (tonumber(f[4]) - 2), 3600000)
  end
  move_delivery(id, 'pending')
  schedule_delivery(id, now + wait_ms)
end

for _, item in ipairs(redis.call('SMEMBERS', 'kc:held:' .. incarnation)) do
  local p = {}
  for part in string.gmatch(item, '[^|]+') do p[#p + 1] = part end
  if p[1] == 'segment' then
    release_segment(p[2], tonumber(p[3]), p[4], how, now)
  elseif p[1] == 'delivery' then
    release_delivery(p[2], p[3])
  else
    if p[1] == 'assemble' then redis.call('SREM', 'kc:long:' .. p[4], p[2]) end
    release_stage(p[2], p[1], p[3])
  end
end
redis.call('DEL', 'kc:held:' .. incarnation, 'kc:alive:' .. incarnation)
redis.call('SREM', 'kc:incarnations', incarnation)
return 1
