-- Sends a finished delivery again, same id, same bytes. ARGV: uid, id. Answers its status before,
-- or '' if unknown.
local f = redis.call('HMGET', 'kc:delivery:' .. ARGV[2], 'job', 'status')
if f[1] ~= ARGV[1] then return '' end
if f[2] == 'pending' or f[2] == 'sending' then return f[2] end
move_delivery(ARGV[2], 'pending')
redis.call('HSET', 'kc:delivery:' .. ARGV[2], 'attempts', 0)
schedule_delivery(ARGV[2], now_ms())
return f[2]
