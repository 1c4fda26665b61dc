-- What waits: {plan, synth jobs, assemble, deliver} now, {their ages in ms}, then the segments and
-- phonemes that wait for a device.
local now = now_ms()
local function age(zset)
  local first = redis.call('ZRANGE', zset, 0, 0, 'WITHSCORES')
  return first[2] and math.max(0, math.floor(now - tonumber(first[2]))) or 0
end
-- A stage's queue holds an interactive job at an earlier time than it came.
local function stage_age(zset)
  local first = redis.call('ZRANGE', zset, 0, 0, 'WITHSCORES')
  if not first[1] then return 0 end
  local lane = redis.call('HGET', job_key(first[1]), 'lane')
  local came = tonumber(first[2]) + (lane == 'interactive' and INTERACTIVE_HEAD_MS or 0)
  return math.max(0, math.floor(now - came))
end
return {
  redis.call('ZCARD', 'kc:queue:plan') + redis.call('ZCARD', 'kc:queue:redo'),
  redis.call('ZCARD', 'kc:render_since'),
  redis.call('ZCARD', 'kc:queue:assemble') + redis.call('ZCARD', 'kc:queue:assemble:long'),
  redis.call('ZCOUNT', 'kc:due', '-inf', now),
  math.max(stage_age('kc:queue:plan'), stage_age('kc:queue:redo')),
  age('kc:render_since'),
  math.max(stage_age('kc:queue:assemble'), stage_age('kc:queue:assemble:long')),
  age('kc:due'),
  tonumber(redis.call('GET', 'kc:waiting_segments') or '0'),
  tonumber(redis.call('GET', 'kc:waiting_phonemes') or '0'),
}
