-- A worker's state, for the list of workers. ARGV: worker, state as JSON, seconds it is listed.
redis.call('SET', 'kc:worker:' .. ARGV[1], ARGV[2], 'EX', ARGV[3])
redis.call('SADD', 'kc:workers', ARGV[1])
return 1
