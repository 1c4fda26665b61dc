-- The client wants no more work. ARGV: uid. Answers {status before, ring deliver}.
local status = redis.call('HGET', job_key(ARGV[1]), 'status')
if not status then return { '', 0 } end
if is_terminal(status) then return { status, 0 } end
local delivers = end_job(ARGV[1], 'canceled', now_ms())
return { status, delivers and 1 or 0 }
