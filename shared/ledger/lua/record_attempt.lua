-- What came of a delivery attempt. ARGV: id, token, incarnation, status it moves to, ms until the
-- next attempt, log entry as JSON.
local id, token, incarnation, to = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
unhold(incarnation, 'delivery|' .. id .. '|' .. token)
local f = redis.call('HMGET', 'kc:delivery:' .. id, 'status', 'token', 'host')
if f[1] ~= 'sending' or f[2] ~= token then return lost('delivery ' .. id) end
redis.call('SREM', 'kc:sending:' .. f[3], id)
move_delivery(id, to)
redis.call('RPUSH', 'kc:delivery:' .. id .. ':log', ARGV[6])
redis.call('LTRIM', 'kc:delivery:' .. id .. ':log', -EXCERPTS, -1)
if to == 'pending' then schedule_delivery(id, now_ms() + tonumber(ARGV[5])) else offer_host(f[3]) end
count('webhook_attempts')
observe('deliver', cjson.decode(ARGV[6]).duration_s or 0)
count('webhook_' .. (to == 'pending' and 'retried' or to))
return 1
