-- A segment that could not be rendered. ARGV: uid, index, token, incarnation, attempts cap, code,
-- message, '1' if trying again cannot help.
local uid, index, token, incarnation = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local now = now_ms()
unhold(incarnation, 'segment|' .. uid .. '|' .. index .. '|' .. token)
local segment = get_segment(uid, index)
local status = redis.call('HGET', job_key(uid), 'status')
if not segment or segment.status ~= 'leased' or tostring(segment.token) ~= token
    or is_terminal(status) then
  return lost('segment ' .. index .. ' of ' .. uid)
end
count('segment_failures')
if ARGV[8] == '1' or segment.attempts >= tonumber(ARGV[5]) then
  fail_job(uid, ARGV[6], 'Segment ' .. index .. ': ' .. ARGV[7], now)
  return 1
end
check_move(SEGMENT_MOVES, segment.status, 'waiting')
segment.status, segment.solo, segment.token = 'waiting', true, nil
set_segment(uid, index, segment)
add_ready(uid, index, segment.length)
offer_job(uid)
return 1
