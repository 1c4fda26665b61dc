-- How far the encoding of a job is. ARGV: uid, token, the part of it that is done. Answers 1, or 0 where
-- that is no news to anybody: the job has ended, or is another worker's.
local uid, token = ARGV[1], ARGV[2]
local f = redis.call('HMGET', job_key(uid), 'status', 'assemble_token')
if not f[1] or is_terminal(f[1]) or f[2] ~= token then return 0 end
redis.call('HSET', job_key(uid), 'encoded', ARGV[3], 'encoded_ms', now_ms())
return 1
