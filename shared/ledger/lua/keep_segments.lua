-- Looks after audio that another job is to be made of: it is kept for as long as if it were new.
-- ARGV: uid, the first segment and the one after the last, one that is not needed. Answers the first
-- one whose audio is gone; -1 if none is, -2 if the segments are.
local uid, first, stop, spare = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = now_ms()
for index = first, stop - 1 do
  if index ~= spare then
    local segment = get_segment(uid, index)
    if not segment then return -2 end
    if segment.hash and not stored_audio(segment.hash, now) then return index end
  end
end
return -1
