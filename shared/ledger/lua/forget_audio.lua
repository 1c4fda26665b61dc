-- Segment audio that nothing used for a while becomes garbage, and so does what a worker may have
-- stored before it ended, unless it counts after all. ARGV: unused since (ms). Answers how many.
local before, forgotten = now_ms() - ARGV[1], 0
for _, hash in ipairs(redis.call('ZRANGEBYSCORE', 'kc:audio_used', '-inf', before, 'LIMIT', 0, 500)) do
  local key = redis.call('HGET', 'kc:audio:' .. hash, 'key')
  if key then redis.call('SADD', 'kc:garbage', key) end
  redis.call('DEL', 'kc:audio:' .. hash)
  redis.call('ZREM', 'kc:audio_used', hash)
  forgotten = forgotten + 1
end
for _, orphan in ipairs(redis.call('ZRANGEBYSCORE', 'kc:orphans', '-inf', before, 'LIMIT', 0, 500)) do
  local hash, token = string.match(orphan, '^(.*):(%d+)$')
  local key = segment_key(hash, token)
  if redis.call('HGET', 'kc:audio:' .. hash, 'key') ~= key then
    redis.call('SADD', 'kc:garbage', key)
    forgotten = forgotten + 1
  end
  redis.call('ZREM', 'kc:orphans', orphan)
end
return forgotten
