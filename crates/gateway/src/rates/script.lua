-- What is done in one go: KEYS[i] is what for, ARGV[3i-2] says what is done, the two behind it with what. First come things that
-- are noted whatever happens, then the limits of a request, which is counted in all of them or in none. Times are microseconds of
-- the server's own clock.
--
-- The answer: for each limit, how long it refuses the request (0: it does not), and how it stands.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local LEASE = 10000000

local function due(key)
  return math.max(tonumber(redis.call('GET', key) or now), now)
end

local function put(key, at)
  redis.call('SET', key, string.format('%.0f', at), 'PX', math.floor((at - now) / 1000) + 1000)
end

local function lease(key, id, ...)
  local arguments = {...}
  arguments[#arguments + 1] = string.format('%.0f', now + LEASE)
  arguments[#arguments + 1] = id
  redis.call('ZADD', key, unpack(arguments))
  redis.call('PEXPIRE', key, LEASE / 1000)
end

local answer, counts, refused = {}, {}, false
for i, key in ipairs(KEYS) do
  local what, one, two = ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i]
  local wait, stands
  if what == 'free' then
    redis.call('ZREM', key, one)
  elseif what == 'used' then
    put(key, due(key) + one)
  elseif what == 'owed' then
    if now + one > due(key) then put(key, now + one) end
  elseif what == 'keep' then
    lease(key, one, 'XX')
  elseif what == 'hold' then
    lease(key, one)
  elseif what == 'requests' then
    local next = due(key) + one
    wait = math.max(next - now - two, 0)
    stands = next - now
    if wait > 0 then stands = stands - one end
    counts[#counts + 1] = function() put(key, next) end
  elseif what == 'tokens' then
    stands = due(key) - now
    wait = math.max(stands - one + 1, 0)
  elseif what == 'concurrent' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now))
    stands = redis.call('ZCARD', key)
    wait = 0
    if stands >= tonumber(one) then wait = 1000000 end
    counts[#counts + 1] = function() lease(key, two) end
  end
  if wait then
    answer[#answer + 1] = wait
    answer[#answer + 1] = stands
    refused = refused or wait > 0
  end
end
if not refused then
  for _, count in ipairs(counts) do count() end
end
return answer
