-- What the cluster speaks with. ARGV: manifest as JSON, '1' if only where none is known. Answers
-- whether it was written.
if ARGV[2] == '1' and redis.call('EXISTS', 'kc:engine') == 1 then return 0 end
redis.call('SET', 'kc:engine', ARGV[1])
return 1
