-- The bytes every attempt of a delivery sends: those of the first. ARGV: id, body. Answers them.
if redis.call('EXISTS', 'kc:delivery:' .. ARGV[1]) == 0 then return lost('delivery ' .. ARGV[1]) end
redis.call('HSETNX', 'kc:delivery:' .. ARGV[1], 'body', ARGV[2])
return redis.call('HGET', 'kc:delivery:' .. ARGV[1], 'body')
