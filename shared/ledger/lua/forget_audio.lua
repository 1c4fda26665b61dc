-- Segment audio that nothing used for a while. ARGV: unused since (ms). Answers its objects' keys.
local keys = {}
for _, hash in ipairs(redis.call('ZRANGEBYSCORE', 'kc:audio_used', '-inf', now_ms() - ARGV[1], 'LIMIT', 0, 500)) do
  keys[#keys + 1] = redis.call('HGET', 'kc:audio:' .. hash, 'key') or nil
  redis.call('DEL', 'kc:audio:' .. hash)
  redis.call('ZREM', 'kc:audio_used', hash)
end
return keys
