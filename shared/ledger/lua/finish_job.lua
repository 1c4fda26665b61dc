-- A job's files are stored. ARGV: uid, token, incarnation, worker, result as JSON, encode seconds.
local uid, token = ARGV[1], ARGV[2]
unhold_assembly(ARGV[3], uid, token, ARGV[4])
local f = redis.call('HMGET', job_key(uid), 'status', 'assemble_token')
-- Said twice, because the first answer was lost on its way: done is done.
if f[2] == token and f[1] == 'succeeded' then return 1 end
if f[2] ~= token or is_terminal(f[1]) then return lost('assembly of ' .. uid) end
count('encode_s', ARGV[6])
end_job(uid, 'succeeded', now_ms(), { result = ARGV[5], encode_s = ARGV[6] })
return 1
