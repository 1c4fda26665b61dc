-- What the cluster speaks with. ARGV: manifest as JSON, '1' if only where none is known. Answers
-- whether it was written.
local known = redis.call('GET', 'kc:engine')
if ARGV[2] == '1' and known then return 0 end
if known and cjson.decode(known).fingerprint ~= cjson.decode(ARGV[1]).fingerprint then
  redis.call('DEL', 'kc:pace', 'kc:speech') -- what was measured is of another
end
redis.call('SET', 'kc:engine', ARGV[1])
return 1
