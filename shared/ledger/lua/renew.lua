-- Incarnations that live. ARGV: lease ms, then their names. A script, so that a full Redis lets it in.
for i = 2, #ARGV do
  redis.call('SET', 'kc:alive:' .. ARGV[i], '1', 'PX', ARGV[1])
  redis.call('SADD', 'kc:incarnations', ARGV[i])
end
return #ARGV - 1
