-- A question for any plan worker. ARGV: id, owner, question as JSON, ms after which nobody waits for
-- the answer, most that wait, most of one owner's. Answers 1, or 0 where there is no room.
local id, owner, ttl_ms = ARGV[1], ARGV[2], tonumber(ARGV[4])
local waiting, own = 0, 0
-- What nobody waits for any more makes room; there are never more than the most that may wait.
for _, item in ipairs(redis.call('LRANGE', 'kc:asks', 0, -1)) do
  local whose, which = string.match(item, '^(.*)|([^|]*)$')
  if which == id then return 1 end -- said twice, because the first answer was lost on its way
  if redis.call('EXISTS', 'kc:ask:' .. which) == 0 then
    redis.call('LREM', 'kc:asks', 1, item)
  else
    waiting = waiting + 1
    if whose == owner then own = own + 1 end
  end
end
if waiting >= tonumber(ARGV[5]) or own >= tonumber(ARGV[6]) then
  count('asks_refused')
  return 0
end
redis.call('SET', 'kc:ask:' .. id, ARGV[3], 'PX', ttl_ms)
redis.call('RPUSH', 'kc:asks', owner .. '|' .. id)
count('asks')
ring('plan')
return 1
