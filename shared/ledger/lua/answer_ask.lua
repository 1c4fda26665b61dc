-- The answer to a question, and word to whoever waits for it. ARGV: id, answer as JSON, ms that it is
-- kept, '1' if it says why there is none.
redis.call('SET', 'kc:answer:' .. ARGV[1], ARGV[2], 'PX', ARGV[3])
count(ARGV[4] == '1' and 'asks_failed' or 'asks_answered')
redis.call('PUBLISH', 'kc:ended', ARGV[1])
return 1
