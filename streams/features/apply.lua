-- Applies one blob of deltas.py to one tenant's keys and moves the fence of its partition, or changes nothing.
--
-- KEYS[1]  fence hash of the consumer; all other keys are made from the prefix, which on a cluster holds the braces
-- ARGV     1 prefix, 2 tenant, 3 partition, 4 epoch, 5 offset the fence must stand at ("" none yet), 6 offset to move
--          it to, 7 blob ("" no events), 8 landmark, 9 cmsgpack {life of session, recent, seen in s; size of
--          session items, session categories, recent, hot, seen generation}
-- Answers  {'applied', keys that had to be deleted, as they were of a wrong type}
--          {'fence', the value found, or ''}                          another offset, or a later epoch
--          {'again', landmark or '', places of events seen before, places of users to split}
--
-- It reads and decides everything first. Redis refuses a script's writes as a whole (read-only replica, memory, disk)
-- at the first of them, which is the fence; after it only a key of a wrong type can make a write fail. Such a key is
-- no work of the platform: it is deleted and written anew.

local fence_key, prefix, tenant, partition = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local epoch, expected, offset, landmark = ARGV[4], ARGV[5], ARGV[6], ARGV[8]
local call, pcall_redis, find, format, concat = redis.call, redis.pcall, string.find, string.format, table.concat

-- The fence.
local fence = call('HGET', fence_key, partition)
if fence then
  local found_epoch, found_offset = string.match(fence, '^(%d+):(%d+)$')
  if not found_epoch or found_offset ~= expected or tonumber(found_epoch) > tonumber(epoch) then
    return {'fence', fence}
  end
elseif expected ~= '' then
  return {'fence', ''}
end

local function move_fence()
  return pcall_redis('HSET', fence_key, partition, epoch .. ':' .. offset)
end

if ARGV[7] == '' then
  local moved = move_fence()
  if type(moved) == 'table' and moved.err then return moved end
  return {'applied'}
end

local ids, items, tokens, actions, category_tokens, users, hot, unknown, links = unpack(cmsgpack.unpack(ARGV[7]))
local session_s, recent_s, seen_s, max_items, max_categories, max_recent, max_hot, max_seen =
  unpack(cmsgpack.unpack(ARGV[9]))
local healed = {}

local function wrong_type(reply)
  return type(reply) == 'table' and reply.err and find(reply.err, 'WRONGTYPE', 1, true)
end

-- A read; a key of a wrong type reads as if it were not there, and is remembered.
local wrong = {}
local function read(command, key, ...)
  local reply = pcall_redis(command, key, ...)
  if wrong_type(reply) then
    wrong[key] = true
    return nil
  end
  if type(reply) == 'table' and reply.err then error(reply.err) end
  return reply
end

local function write(command, key, ...)
  local reply = pcall_redis(command, key, ...)
  if wrong_type(reply) then
    call('UNLINK', key)
    healed[#healed + 1] = key
    return call(command, key, ...)
  end
  if type(reply) == 'table' and reply.err then error(reply.err) end
  return reply
end

-- As schemas.keys.encode_id.
local function encode_id(id)
  if not find(id, '[%%:]') then return id end
  return (string.gsub(string.gsub(id, '%%', '%%25'), ':', '%%3A'))
end

-- As msgspec writes a string in JSON.
local short = {['"'] = '\\"', ['\\'] = '\\\\', ['\b'] = '\\b', ['\t'] = '\\t', ['\n'] = '\\n', ['\f'] = '\\f', ['\r'] = '\\r'}
local function json_text(text)
  if find(text, '[%z\1-\31"\\]') then
    text = string.gsub(text, '[%z\1-\31"\\]', function(c) return short[c] or format('\\u%04x', string.byte(c)) end)
  end
  return '"' .. text .. '"'
end

-- The catalogue's category of an item, false where it has none; asked once a script.
local catalogue = {}
local function category_of(item)
  local category = catalogue[item]
  if category == nil then
    category = pcall_redis('HGET', prefix .. 'item:' .. encode_id(items[item]), 'category')
    if type(category) ~= 'string' or category == '' then category = false end
    catalogue[item] = category
  end
  return category
end

-- The elements of a JSON array of strings, each still as JSON text.
local function elements(array)
  local out = {}
  if not find(array, '\\', 1, true) then
    for element in string.gmatch(array, '"[^"]*"') do out[#out + 1] = element end
    return out
  end
  local from = find(array, '"', 1, true)
  while from do
    local to = find(array, '["\\]', from + 1)
    while to and string.sub(array, to, to) == '\\' do to = find(array, '["\\]', to + 2) end
    if not to then break end
    out[#out + 1] = string.sub(array, from, to)
    from = find(array, '"', to + 1, true)
  end
  return out
end

-- The JSON array `array` with `newest` (JSON texts, newest first, n of them) moved to its front, `size` long at most.
local function to_front(array, newest, n, size)
  if n > size then n = size end
  if array == '[]' or n == size then return '[' .. concat(newest, ',', 1, n) .. ']' end
  if n == 0 then return array end
  local held, out = {}, {}
  for i = 1, n do
    out[i] = newest[i]
    held[newest[i]] = true
  end
  for _, element in ipairs(elements(array)) do
    if n == size then break end
    if not held[element] then
      n = n + 1
      out[n] = element
    end
  end
  return '[' .. concat(out, ',', 1, n) .. ']'
end

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

-- Sessions. A planned session: started, last, gap, events, dwell, late, counts {action place -> count},
-- items (stored count), new_items {item places}, recent_items, recent_categories (JSON text), device, scenario,
-- experiment, clicks, impressions, ttl (whether its life begins anew), first (event id, of a session that begins here).
local function stored_session(key, counted)
  local names = {'started_at', 'last_at', 'events', 'items', 'dwell_ms', 'late', 'recent_items', 'recent_categories',
    'a:click', 'a:impression'}
  for i = 1, #counted do names[10 + i] = actions[counted[i]] end
  local v = read('HMGET', key, unpack(names))
  local started, last = v and tonumber(v[1]), v and tonumber(v[2])
  if not started or not last then return nil end
  local counts = {}
  for i = 1, #counted do counts[counted[i]] = tonumber(v[10 + i]) or 0 end
  return {
    started = started, last = last, events = tonumber(v[3]) or 0, items = tonumber(v[4]) or 0,
    dwell = tonumber(v[5]) or 0, late = tonumber(v[6]) or 0, recent_items = v[7] or '[]',
    recent_categories = v[8] or '[]', clicks = tonumber(v[9]) or 0, impressions = tonumber(v[10]) or 0,
    counts = counts, new_items = {}, experiment = '',
  }
end

local function new_session(first)
  return {
    events = 0, items = 0, dwell = 0, late = 0, recent_items = '[]', recent_categories = '[]', clicks = 0,
    impressions = 0, counts = {}, new_items = {}, experiment = '', first = first, ttl = true,
  }
end

local HOUR = 3600000

-- Adds the run that begins at `at` of `users` to a session.
local function join(session, at)
  local first, last, gap = users[at], users[at + 1], users[at + 2]
  if not session.started or first < session.started then session.started = first end
  if not session.last or last > session.last then
    -- The life of a long session is renewed once an hour, not in every batch.
    if session.last and math.floor(last / HOUR) > math.floor(session.last / HOUR) then session.ttl = true end
    session.last = last
  end
  session.joined, session.gap = true, gap
  session.events, session.dwell = session.events + users[at + 4], session.dwell + users[at + 5]
  session.device, session.scenario = users[at + 6], users[at + 7]
  if users[at + 8] ~= '' then session.experiment = users[at + 8] end
  at = at + 9

  for i = at + 1, at + 2 * users[at], 2 do
    local action, count = users[i], users[i + 1]
    session.counts[action] = (session.counts[action] or 0) + count
    if actions[action] == 'a:click' then session.clicks = session.clicks + count end
    if actions[action] == 'a:impression' then session.impressions = session.impressions + count end
  end
  at = at + 1 + 2 * users[at]

  local n, newest = users[at], {}
  for i = 1, n do
    local item = users[at + i]
    newest[i] = tokens[item]
    session.new_items[#session.new_items + 1] = items[item]
  end
  session.recent_items = to_front(session.recent_items, newest, n, max_items)
  at = at + 1 + n

  local known, held = {}, {}
  for i = at + 1, at + users[at] do
    local place = users[i]
    local token = category_tokens[place]
    if not token then
      local category = category_of(-place)
      token = category and json_text(category)
    end
    if token and not held[token] then
      held[token] = true
      known[#known + 1] = token
    end
  end
  session.recent_categories = to_front(session.recent_categories, known, #known, max_categories)
end

local function after_run(at)
  at = at + 9
  at = at + 1 + 2 * users[at]
  at = at + 1 + users[at]
  return at + 1 + users[at]
end

-- The actions counted in a user's runs, each once, and the place behind the runs.
local function survey(at, runs)
  local counted, held = {}, {}
  for _ = 1, runs do
    for i = at + 10, at + 9 + 2 * users[at + 9], 2 do
      local action = users[i]
      if not held[action] then
        held[action] = true
        counted[#counted + 1] = action
      end
    end
    at = after_run(at)
  end
  return counted, at
end

-- A user's session after its runs; nil where a run must be split.
local function plan_session(key, at, runs, counted)
  local session = stored_session(key, counted)
  for _ = 1, runs do
    local first, last, gap, count = users[at], users[at + 1], users[at + 2], users[at + 4]
    if not session or first > session.last + gap then
      session = new_session(ids[users[at + 3]])
      join(session, at)
    elseif first >= session.started - gap then
      join(session, at)
    elseif last < session.started - gap then
      session.late = session.late + count
      session.is_late = true
    else
      return nil
    end
    at = after_run(at)
  end
  return session
end

local function write_session(user, key, session)
  local items_key = prefix .. 'user:session_items:' .. encode_id(user)
  if session.first then
    call('UNLINK', key, items_key)
  elseif not session.joined then
    write('HSET', key, 'late', session.late)
    return
  end
  local new_items = write('SADD', items_key, unpack(session.new_items))
  local fields = {
    'started_at', session.started, 'last_at', session.last, 'events', session.events,
    'items', session.items + new_items, 'recent_items', session.recent_items,
    'recent_categories', session.recent_categories, 'dwell_ms', session.dwell, 'device', session.device,
    'scenario', session.scenario, 'late', session.late,
    'ctr', session.impressions > 0 and format('%.6g', session.clicks / session.impressions) or '0',
  }
  local n = #fields
  for action, count in pairs(session.counts) do
    if count > 0 then
      fields[n + 1], fields[n + 2] = actions[action], count
      n = n + 2
    end
  end
  if session.first or session.experiment ~= '' then
    fields[n + 1], fields[n + 2] = 'experiment', session.experiment
    n = n + 2
  end
  if session.first then
    local id = redis.sha1hex(tenant .. '|' .. user .. '|' .. session.first)
    fields[n + 1], fields[n + 2] = 'session_id', 'ses_' .. string.sub(id, 1, 16)
  end
  write('HSET', key, unpack(fields))
  if session.ttl then
    local life = math.floor(session.gap / 1000) + session_s
    call('EXPIRE', key, life)
    call('EXPIRE', items_key, life)
  end
end

-- Reads and decides.
local stored_landmark = read('GET', prefix .. 'hot:landmark')
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
    local session = plan_session(key, runs_at + 1, users[runs_at], counted)
    if session then
      plans[place] = {user, key, session, at + 2, recents}
    else
      to_split[#to_split + 1] = place
      plans[place] = false
    end
    at = behind
  end
end
local other_landmark = stored_landmark and stored_landmark ~= landmark
if other_landmark or #seen_before > 0 or #to_split > 0 then
  return {'again', other_landmark and stored_landmark or '', seen_before, to_split}
end
local of_category, category_order = {}, {}
for i = 1, #unknown, 2 do
  local category = category_of(unknown[i])
  if category and not of_category[category] then
    of_category[category] = {}
    category_order[#category_order + 1] = category
  end
  if category then
    local scores = of_category[category]
    scores[#scores + 1] = unknown[i]
    scores[#scores + 1] = unknown[i + 1]
  end
end

-- Writes.
local moved = move_fence()
if type(moved) == 'table' and moved.err then return moved end
for key in pairs(wrong) do
  call('UNLINK', key)
  healed[#healed + 1] = key
end

if call('SCARD', prefix .. 'seen:' .. generation) >= max_seen then
  generation = generation == '0' and '1' or '0'
  call('UNLINK', prefix .. 'seen:' .. generation)
  call('SET', prefix .. 'seen:current', generation)
end
call('SADD', prefix .. 'seen:' .. generation, unpack(ids))
call('EXPIRE', prefix .. 'seen:' .. generation, seen_s)
if not stored_landmark then call('SET', prefix .. 'hot:landmark', landmark) end

for _, plan in ipairs(plans) do
  local user, key, session, at, n = unpack(plan)
  write_session(user, key, session)
  local recent_key = prefix .. 'user:recent:' .. encode_id(user)
  local length = write('LPUSH', recent_key, unpack(users, at, at + n - 1))
  if length > max_recent then call('LTRIM', recent_key, 0, max_recent - 1) end
  if session.ttl or length == n then call('EXPIRE', recent_key, recent_s) end
end

local function add_scores(key, scores, from, to)
  for i = from, to, 2 do write('ZINCRBY', key, scores[i + 1], items[scores[i]]) end
  -- A fifth more than the size may gather, so that the trimming is rare.
  if call('ZCARD', key) > max_hot * 1.2 then call('ZREMRANGEBYRANK', key, 0, -max_hot - 1) end
end

do
  local at = 1
  while at <= #hot do
    local key, n = prefix .. hot[at], 2 * hot[at + 1]
    add_scores(key, hot, at + 2, at + 1 + n)
    at = at + 2 + n
  end
end
for _, category in ipairs(category_order) do
  local scores = of_category[category]
  add_scores(prefix .. 'hot:category:' .. encode_id(category), scores, 1, #scores)
end
do
  local at = 1
  while at <= #links do
    local linked, n = {}, links[at + 1]
    for i = 1, n do linked[i] = items[links[at + 1 + i]] end
    write('SADD', prefix .. links[at], unpack(linked))
    at = at + 2 + n
  end
end
return {'applied', unpack(healed)}
