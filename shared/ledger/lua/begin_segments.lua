-- A batch claimed ahead whose rendering begins now: from here on its attempts count. ARGV:
-- incarnation, then uid, index and token of each. Answers 1 for each that is still this
-- incarnation's to render, else 0.
local incarnation = ARGV[1]
local ours = {}
for i = 2, #ARGV, 3 do
  local uid, index, token = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local segment = get_segment(uid, index)
  local status = redis.call('HGET', job_key(uid), 'status')
  if segment and segment.status == 'leased' and tostring(segment.token) == token
      and status and not is_terminal(status) then
    if segment.ahead then -- said twice, it counts once
      segment.ahead, segment.attempts = nil, segment.attempts + 1
      set_segment(uid, index, segment)
    end
    ours[#ours + 1] = 1
  else
    unhold(incarnation, 'segment|' .. uid .. '|' .. index .. '|' .. token)
    ours[#ours + 1] = 0
  end
end
return ours
