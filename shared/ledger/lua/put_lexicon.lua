-- Stores a lexicon's next version; said twice, it changes nothing. ARGV: owner, name, digest, body,
-- {language, entries} as JSON, limits as JSON {names, versions, bytes}. Answers {what became of it,
-- its row}; bytes are counted over all versions of an owner's, and those that open jobs still need.
local owner, name, digest, body = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local about, limits = cjson.decode(ARGV[5]), cjson.decode(ARGV[6])
local now = now_ms()
local names = 'kc:lexicons:' .. owner
local text = redis.call('HGET', names, name)
local row = text and cjson.decode(text)
if row and row.versions[#row.versions].digest == digest then return { 'kept', text } end
if not row and redis.call('HLEN', names) >= limits.names then return { 'too_many', '' } end
local stored = redis.call('EXISTS', lexicon_key(digest)) == 1
local used = tonumber(redis.call('HGET', 'kc:lexicon_bytes', owner) or '0')
if not stored and used + #body > limits.bytes then return { 'too_large', '' } end

-- A name that is taken again after it was deleted never gives an old version's number anew.
row = row or { name = name, created_ms = now, versions = {},
  version = tonumber(redis.call('HGET', 'kc:lexicon_floors', owner) or '0') }
row.version = row.version + 1
if not stored then
  redis.call('HSET', lexicon_key(digest), 'body', body, 'owner', owner, 'bytes', #body)
  redis.call('HINCRBY', 'kc:lexicon_bytes', owner, #body)
end
need_lexicon(digest)
table.insert(row.versions, { version = row.version, digest = digest, created_ms = now,
  language = about.language, entries = about.entries, bytes = #body })
while #row.versions > limits.versions do
  spare_lexicon(table.remove(row.versions, 1).digest)
end
text = cjson.encode(row)
redis.call('HSET', names, name, text)
return { 'stored', text }
