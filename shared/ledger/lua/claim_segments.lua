-- A batch of waiting segments, alike in length, fair over keys and jobs.
-- ARGV: incarnation, lease ms, attempts cap, most segments, most phonemes with padding (members
-- times the longest; a single segment may have more), longest/shortest ratio, waiting segments
-- looked at in one job and in all, '1' if claimed ahead: then nothing counts until `begin_segments`.
-- Answers a list of {uid, index, token, payload, attempt, 1 if it must be alone, 1 if more wait}.
local incarnation, lease_ms, cap = ARGV[1], ARGV[2], tonumber(ARGV[3])
local most, budget, ratio = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local peek, look_most, ahead = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9] == '1'
local OWNERS, JOBS, CANDIDATES = 16, 64, 256 -- owners, jobs of one and jobs in all that may fill a batch
local now = now_ms()

local lanes = { 'interactive', 'batch' }
if redis.call('INCR', 'kc:claims') % BATCH_LANE_EVERY == 0 then lanes = { 'batch', 'interactive' } end

-- Settles what needs no rendering: the job is over, the audio exists, the attempts are used up.
-- Returns the segment when it is to be rendered.
local function settle(candidate, index, member)
  local uid = candidate.uid
  local segment = get_segment(uid, index)
  if not segment or segment.status ~= 'waiting' or not candidate.status or is_terminal(candidate.status) then
    drop_ready(uid, member)
    return nil
  end
  if now >= candidate.deadline then
    end_job(uid, 'expired', now)
    candidate.status = 'expired'
    return nil
  end
  local key, samples = stored_audio(segment.hash, now)
  if key then
    drop_ready(uid, member)
    check_move(SEGMENT_MOVES, segment.status, 'done')
    complete_segment(uid, index, segment, key, samples, true)
    queue_assembly_if_whole(uid, now)
    return nil
  end
  if segment.attempts >= cap then
    fail_job(uid, 'poison', 'Segment ' .. index .. ' ended its worker ' .. cap .. ' times.', now)
    candidate.status = 'failed'
    return nil
  end
  return segment
end

local batch, first, shortest, longest, alone, looked = {}, nil, nil, nil, false, 0
local token

local function fits(length)
  if not first then return true end
  local padded_to = math.max(longest, length)
  return padded_to <= ratio * math.min(shortest, length) and padded_to * (#batch + 1) <= budget
end

local function unlike(length)
  return math.max(length, first) / math.max(1, math.min(length, first))
end

-- Looks at the oldest waiting segments of a job.
local function open_window(candidate)
  local f = redis.call('HMGET', job_key(candidate.uid), 'status', 'deadline_ms', 'share')
  candidate.status, candidate.deadline, candidate.share = f[1], tonumber(f[2]), tonumber(f[3] or '1')
  candidate.members, candidate.next, candidate.cost = {}, 1, 0
  local wanted = math.min(peek, math.max(1, look_most - looked))
  for i, member in ipairs(redis.call('ZRANGE', job_key(candidate.uid, 'ready'), 0, wanted - 1)) do
    local index, length = string.match(member, '^(%d+):(%d+)$')
    candidate.members[i] = { member = member, index = tonumber(index), length = tonumber(length) }
  end
  looked = looked + math.max(1, #candidate.members)
end

-- Puts those of a window that are alike to the batch's first into order, the most alike first.
local function sort_window(candidate)
  local alike = {}
  for at, item in ipairs(candidate.members) do
    item.unlike, item.at = unlike(item.length), at
    if item.unlike <= ratio then alike[#alike + 1] = item end
  end
  table.sort(alike, function(a, b)
    if a.unlike ~= b.unlike then return a.unlike < b.unlike end
    return a.at < b.at
  end)
  candidate.members, candidate.next, candidate.sorted = alike, 1, true
end

-- Takes one segment of this job into the batch; false when none fits. While the batch is empty that
-- is the oldest, so that whoever is next leads a batch whatever its length. As a batch only grows,
-- what does not fit now never will: each member is looked at once.
local function take_from(candidate)
  local uid = candidate.uid
  if not candidate.members then
    if looked >= look_most then return false end
    open_window(candidate)
  end
  if first and not candidate.sorted then sort_window(candidate) end
  while candidate.next <= #candidate.members do
    local item = candidate.members[candidate.next]
    candidate.next = candidate.next + 1
    if fits(item.length) then
      local segment = settle(candidate, item.index, item.member)
      -- What ended a worker before is tried again alone, so that it harms no neighbour.
      if segment and (not segment.solo or #batch == 0) then
        check_move(SEGMENT_MOVES, segment.status, 'leased')
        drop_ready(uid, item.member)
        token = token and token + 1 or next_token(most)
        segment.status, segment.token, segment.ahead = 'leased', token, ahead or nil
        if not ahead then segment.attempts = segment.attempts + 1 end
        set_segment(uid, item.index, segment)
        local held = 'segment|' .. uid .. '|' .. item.index .. '|' .. token
        if not first then
          hold(incarnation, lease_ms, held)
        else
          redis.call('SADD', 'kc:held:' .. incarnation, held) -- alive it is since the first
        end
        candidate.cost = candidate.cost + item.length
        if not first then
          first = item.length
          -- The window is sorted now, by likeness to this one: it must not be met again there.
          table.remove(candidate.members, candidate.next - 1)
        end
        shortest = math.min(shortest or item.length, item.length)
        longest = math.max(longest or item.length, item.length)
        alone = segment.solo or false
        batch[#batch + 1] = { uid, item.index, token,
          redis.call('HGET', job_key(uid, 'payload'), item.index),
          segment.attempts + (ahead and 1 or 0), alone and 1 or 0 }
        return true
      end
      if is_terminal(candidate.status or 'failed') then return false end
    end
  end
  return false
end

-- A lane fills what the lane before it left of the batch.
local waiting, listed = false, 0
for _, lane in ipairs(lanes) do
  local candidates = {}
  for _, owner in ipairs(redis.call('ZRANGE', lane_key(lane), 0, OWNERS - 1)) do
    local jobs = math.min(JOBS, CANDIDATES - listed)
    for _, uid in ipairs(jobs > 0 and redis.call('ZRANGE', lane_key(lane, owner), 0, jobs - 1) or {}) do
      candidates[#candidates + 1] = { lane = lane, owner = owner, uid = uid }
      listed = listed + 1
    end
  end
  local taking = true
  while taking do
    taking = false
    for _, candidate in ipairs(candidates) do
      if #batch >= most or alone then break end
      if not candidate.spent then
        if take_from(candidate) then taking = true else candidate.spent = true end
      end
    end
  end
  for _, candidate in ipairs(candidates) do
    if not candidate.members then
      waiting = true
    else
      -- A job may end after a part of it was taken; it has no place in the queue any more.
      if candidate.cost > 0 and not is_terminal(candidate.status) then
        charge(lane, candidate.owner, candidate.uid, candidate.share, candidate.cost)
      end
      if redis.call('EXISTS', job_key(candidate.uid, 'ready')) == 0 then
        withdraw_job(candidate.uid)
      else
        waiting = true
      end
    end
  end
end
for _, row in ipairs(batch) do row[7] = waiting and 1 or 0 end
if waiting then ring('synth') end -- another worker may start on the rest while this one renders
return batch
