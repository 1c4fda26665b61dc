-- A batch claimed ahead that will not be begun: it waits again, and nothing counts. ARGV:
-- incarnation, then uid, index and token of each.
local incarnation, now = ARGV[1], now_ms()
for i = 2, #ARGV, 3 do
  local uid, index, token = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  unhold(incarnation, 'segment|' .. uid .. '|' .. index .. '|' .. token)
  release_segment(uid, index, token, 'stopped', now)
end
return 1
