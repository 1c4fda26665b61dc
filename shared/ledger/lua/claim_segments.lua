-- A batch of waiting segments, alike in length, fair over keys and jobs.
-- ARGV: incarnation, lease ms, attempts cap, most segments, longest/shortest ratio.
-- Answers a list of {uid, index, token, payload}, then the number of jobs it ended (to be rung).
local incarnation, lease_ms, cap = ARGV[1], ARGV[2], tonumber(ARGV[3])
local most, ratio = tonumber(ARGV[4]), tonumber(ARGV[5])
local SCAN = 16       -- owners, and jobs of an owner, looked at for one batch
local PEEK = 32       -- waiting segments of a job looked at for an alike one
local now = now_ms()

local lanes = { 'interactive', 'batch' }
if redis.call('INCR', 'kc:claims') % BATCH_LANE_EVERY == 0 then lanes = { 'batch', 'interactive' } end

local rings = { assemble = 0, deliver = 0 }

-- Settles what needs no rendering: the job is over, the audio exists, the attempts are used up.
-- Returns the segment when it is to be rendered.
local function settle(uid, index, member)
  local status = redis.call('HGET', job_key(uid), 'status')
  local segment = get_segment(uid, index)
  if not segment or segment.status ~= 'waiting' or not status or is_terminal(status) then
    drop_ready(uid, member)
    return nil
  end
  if now >= tonumber(redis.call('HGET', job_key(uid), 'deadline_ms')) then
    if end_job(uid, 'expired', now) then rings.deliver = 1 end
    return nil
  end
  local key, samples = stored_audio(segment.hash, now)
  if key then
    drop_ready(uid, member)
    check_move(SEGMENT_MOVES, segment.status, 'done')
    complete_segment(uid, index, segment, key, samples, true)
    if queue_assembly_if_whole(uid, now) then rings.assemble = 1 end
    return nil
  end
  if segment.attempts >= cap then
    if fail_job(uid, 'poison', 'Segment ' .. index .. ' ended its worker ' .. cap .. ' times.', now) then
      rings.deliver = 1
    end
    return nil
  end
  return segment
end

local candidates = {}
for _, lane in ipairs(lanes) do
  for _, owner in ipairs(redis.call('ZRANGE', lane_key(lane), 0, SCAN - 1)) do
    for _, uid in ipairs(redis.call('ZRANGE', lane_key(lane, owner), 0, SCAN - 1)) do
      candidates[#candidates + 1] = { lane = lane, owner = owner, uid = uid }
    end
  end
end

local batch, shortest, longest, alone = {}, nil, nil, false

local function fits(length)
  if not shortest then return true end
  return math.max(longest, length) <= ratio * math.min(shortest, length)
end

-- Takes one segment of this job into the batch; false when none fits.
local function take_from(candidate)
  local uid = candidate.uid
  for _, member in ipairs(redis.call('ZRANGE', job_key(uid, 'ready'), 0, PEEK - 1)) do
    local index, length = string.match(member, '^(%d+):(%d+)$')
    length = tonumber(length)
    if fits(length) then
      local segment = settle(uid, tonumber(index), member)
      -- What ended a worker before is tried again alone, so that it harms no neighbour.
      if segment and (not segment.solo or #batch == 0) then
        check_move(SEGMENT_MOVES, segment.status, 'leased')
        drop_ready(uid, member)
        segment.status, segment.token = 'leased', next_token()
        segment.attempts = segment.attempts + 1
        set_segment(uid, index, segment)
        hold(incarnation, lease_ms, 'segment|' .. uid .. '|' .. index .. '|' .. segment.token)
        charge(candidate.lane, candidate.owner, uid,
          tonumber(redis.call('HGET', job_key(uid), 'share') or '1'), length)
        shortest = math.min(shortest or length, length)
        longest = math.max(longest or length, length)
        alone = segment.solo or false
        batch[#batch + 1] = { uid, tonumber(index), segment.token,
          redis.call('HGET', job_key(uid, 'payload'), index), segment.attempts }
        return true
      end
    end
  end
  return false
end

local taking = true
while taking and #batch < most and not alone do
  taking = false
  for _, candidate in ipairs(candidates) do
    if #batch < most and not alone and not candidate.spent then
      if take_from(candidate) then taking = true else candidate.spent = true end
    end
  end
end

-- Batches of several are remembered as such: a crash of one sends its members back alone.
if #batch > 1 then
  for _, item in ipairs(batch) do
    local segment = get_segment(item[1], item[2])
    segment.company = #batch
    set_segment(item[1], item[2], segment)
  end
end
local waiting = 0
for _, candidate in ipairs(candidates) do
  if redis.call('EXISTS', job_key(candidate.uid, 'ready')) == 0 then
    withdraw_job(candidate.uid)
  else
    waiting = 1
  end
end
return { batch, waiting, rings.assemble, rings.deliver }
