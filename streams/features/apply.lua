-- The batch: everything is read and decided, then written.

-- Events that were seen before.
local function places_seen()
  local places = {}
  local first = read('SMISMEMBER', prefix .. 'seen:0', unpack(ids)) or {}
  local second = read('SMISMEMBER', prefix .. 'seen:1', unpack(ids)) or {}
  for i = 1, #ids do
    if first[i] == 1 or second[i] == 1 then places[#places + 1] = i end
  end
  return places
end

-- Reads and decides.
local generation = read('GET', prefix .. 'seen:current') == '1' and '1' or '0'
local seen_before, to_split, plans = places_seen(), {}, {}
do
  local at, place = 1, 0
  while at <= #users do
    place = place + 1
    local user, recents = users[at], users[at + 1]
    local runs_at = at + 2 + recents
    local key = prefix .. 'user:session:' .. encode_id(user)
    local counted, behind = survey(runs_at + 1, users[runs_at])
    local session, before = plan_session(key, runs_at + 1, users[runs_at], counted)
    if session then
      plans[place] = {user, key, session, at + 2, recents, before}
    else
      to_split[#to_split + 1] = place
      plans[place] = false
    end
    at = behind
  end
end
if #seen_before > 0 or #to_split > 0 then return {'again', seen_before, to_split} end
open_lists()
count_heat(function(place) return plans[place][1] end)

-- Writes.
local moved = move_fence()
if type(moved) == 'table' and moved.err then return moved end
for key in pairs(wrong) do
  call('UNLINK', key)
  healed[#healed + 1] = key
end

if call('SCARD', prefix .. 'seen:' .. generation) >= settings.seen then
  generation = generation == '0' and '1' or '0'
  call('UNLINK', prefix .. 'seen:' .. generation)
  call('SET', prefix .. 'seen:current', generation)
end
call('SADD', prefix .. 'seen:' .. generation, unpack(ids))
call('EXPIRE', prefix .. 'seen:' .. generation, settings.seen_s)

for _, plan in ipairs(plans) do
  local user, key, session, at, n, before = unpack(plan, 1, 6)
  write_sessions(user, key, session, before)
  local recent_key = prefix .. 'user:recent:' .. encode_id(user)
  local length = write('LPUSH', recent_key, unpack(users, at, at + n - 1))
  if length > settings.recent then call('LTRIM', recent_key, 0, settings.recent - 1) end
  if session.ttl or length == n then call('EXPIRE', recent_key, settings.recent_s) end
end

local to_close = write_open()
write_lists()
write_windows()
do
  local at = 1
  while at <= #links do
    local linked, n = {}, links[at + 1]
    for i = 1, n do linked[i] = items[links[at + 1 + i]] end
    write('SADD', prefix .. links[at], unpack(linked))
    at = at + 2 + n
  end
end
return {'applied', capped, left_out, late_events, to_close, unpack(healed)}
