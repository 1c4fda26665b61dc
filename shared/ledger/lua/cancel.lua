-- The client wants no more work. ARGV: uid. Answers its status before, or ''.
local status = redis.call('HGET', job_key(ARGV[1]), 'status')
if not status then return '' end
if not is_terminal(status) then end_job(ARGV[1], 'canceled', now_ms()) end
return status
