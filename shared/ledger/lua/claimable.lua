-- What waits: {plan, synth jobs, assemble, deliver} now, {their ages in ms}, then the segments and
-- phonemes that wait for a device.
local now = now_ms()
local function age(zset)
  local first = redis.call('ZRANGE', zset, 0, 0, 'WITHSCORES')
  return first[2] and math.max(0, math.floor(now - tonumber(first[2]))) or 0
end
return {
  redis.call('ZCARD', 'kc:queue:plan'),
  redis.call('ZCARD', 'kc:render_since'),
  redis.call('ZCARD', 'kc:queue:assemble') + redis.call('ZCARD', 'kc:queue:assemble:long'),
  redis.call('ZCOUNT', 'kc:due', '-inf', now),
  age('kc:queue:plan'),
  age('kc:render_since'),
  math.max(age('kc:queue:assemble'), age('kc:queue:assemble:long')),
  age('kc:due'),
  tonumber(redis.call('GET', 'kc:waiting_segments') or '0'),
  tonumber(redis.call('GET', 'kc:waiting_phonemes') or '0'),
}
