-- Forgets a lexicon with all its versions; open jobs keep what they were submitted with. ARGV:
-- owner, name. Answers 1, or 0 if there is none.
local owner, name = ARGV[1], ARGV[2]
local names = 'kc:lexicons:' .. owner
local text = redis.call('HGET', names, name)
if not text then return 0 end
local row = cjson.decode(text)
local floor = tonumber(redis.call('HGET', 'kc:lexicon_floors', owner) or '0')
redis.call('HSET', 'kc:lexicon_floors', owner, math.max(floor, row.version))
for _, kept in ipairs(row.versions) do spare_lexicon(kept.digest) end
redis.call('HDEL', names, name)
return 1
