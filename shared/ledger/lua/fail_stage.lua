-- A job that could not be planned or assembled. ARGV: uid, stage, token, incarnation, worker,
-- attempts cap, code, message, '1' if trying again cannot help.
local uid, stage, token = ARGV[1], ARGV[2], ARGV[3]
local now = now_ms()
if stage == 'assemble' then
  unhold_assembly(ARGV[4], uid, token, ARGV[5])
else
  unhold(ARGV[4], stage .. '|' .. uid .. '|' .. token)
end
local f = redis.call('HMGET', job_key(uid), 'status', stage .. '_token', stage .. '_attempts')
if f[2] ~= token or is_terminal(f[1]) then return lost(stage .. ' of ' .. uid) end
if ARGV[9] == '1' or tonumber(f[3]) >= tonumber(ARGV[6]) then
  fail_job(uid, ARGV[7], ARGV[8], now)
else
  redis.call('HSET', job_key(uid), stage .. '_token', '') -- said twice, it counts once
  enqueue_stage(uid, stage, now)
end
return 1
