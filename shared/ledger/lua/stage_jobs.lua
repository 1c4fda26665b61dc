-- Writes some jobs of a batch where nobody finds them, until `create_batch` accepts them all; what
-- it never does goes by itself. ARGV: id of the batch, seconds until then, and of each job itself as JSON
-- and its input.
for i = 3, #ARGV, 2 do
  local job = cjson.decode(ARGV[i])
  local name = staged(job.uid)
  job.batch = ARGV[1]
  redis.call('UNLINK', job_key(name), job_key(name, 'warnings')) -- of the first time, if said twice
  write_job(name, job, ARGV[i + 1])
  for _, part in ipairs({ false, 'input', 'warnings' }) do
    redis.call('EXPIRE', job_key(name, part), ARGV[2])
  end
end
return 1
