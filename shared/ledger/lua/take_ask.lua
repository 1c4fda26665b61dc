-- The question that waits longest and is still waited for; from here on it is nobody else's to
-- answer, whatever becomes of the caller. Answers {id, question} or false.
while true do
  local item = redis.call('LPOP', 'kc:asks')
  if not item then return false end
  local id = string.match(item, '([^|]*)$')
  local question = redis.call('GET', 'kc:ask:' .. id)
  if question then
    redis.call('DEL', 'kc:ask:' .. id)
    return { id, question }
  end
end
