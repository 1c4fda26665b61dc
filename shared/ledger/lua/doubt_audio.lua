-- Stored segment audio that turned out missing or damaged is never reused again. ARGV: its key.
local hash = string.match(ARGV[1], '^segments/[^/]+/([^/]+)/')
if not hash or redis.call('HGET', 'kc:audio:' .. hash, 'key') ~= ARGV[1] then return 0 end
redis.call('DEL', 'kc:audio:' .. hash)
redis.call('ZREM', 'kc:audio_used', hash)
redis.call('SADD', 'kc:garbage', ARGV[1])
return 1
