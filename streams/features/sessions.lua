-- Sessions of users.

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

-- Sessions. A planned session: started, last, gap, events, dwell, late, counts {action place -> count},
-- items (stored count), new_items {item places}, recent_items, recent_categories (JSON text), device, scenario,
-- experiment, clicks, impressions, ttl (whether its life begins anew), first (event id, of a session that begins here),
-- closes (when it can be closed, nil as long as nobody knows), closed, ending (it ends in this batch), late_then (late
-- events as it ended).
local function stored_session(key, counted)
  local names = {'started_at', 'last_at', 'events', 'items', 'dwell_ms', 'late', 'recent_items', 'recent_categories',
    'a:click', 'a:impression', 'closes_at', 'closed'}
  for i = 1, #counted do names[12 + i] = actions[counted[i]] end
  local v = read('HMGET', key, unpack(names))
  local started, last = v and tonumber(v[1]), v and tonumber(v[2])
  if not started or not last then return nil end
  local counts = {}
  for i = 1, #counted do counts[counted[i]] = tonumber(v[12 + i]) or 0 end
  return {
    started = started, last = last, events = tonumber(v[3]) or 0, items = tonumber(v[4]) or 0,
    dwell = tonumber(v[5]) or 0, late = tonumber(v[6]) or 0, recent_items = v[7] or '[]',
    recent_categories = v[8] or '[]', clicks = tonumber(v[9]) or 0, impressions = tonumber(v[10]) or 0,
    counts = counts, new_items = {}, experiment = '', closes = tonumber(v[11] or nil), closed = v[12] == '1',
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
  -- By its last event, or, where that came late, by the watermark at which it came.
  local closes = math.max(last, stored_mark, users[at + 10]) + gap
  if not session.closes or closes > session.closes then session.closes = closes end
  session.events, session.dwell = session.events + users[at + 4], session.dwell + users[at + 5]
  session.device, session.scenario = users[at + 6], users[at + 7]
  if users[at + 8] ~= '' then session.experiment = users[at + 8] end
  at = at + 11

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
  session.recent_items = to_front(session.recent_items, newest, n, settings.session_items)
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
  session.recent_categories = to_front(session.recent_categories, known, #known, settings.session_categories)
end

local function after_run(at)
  at = at + 11
  at = at + 1 + 2 * users[at]
  at = at + 1 + users[at]
  return at + 1 + users[at]
end

-- The actions counted in a user's runs, each once, and the place behind the runs.
local function survey(at, runs)
  local counted, held = {}, {}
  for _ = 1, runs do
    for i = at + 12, at + 11 + 2 * users[at + 11], 2 do
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

local newest_mark, late_events = stored_mark, 0

local function add_late(session, count)
  session.late, session.is_late = session.late + count, true
  late_events = late_events + count
end

local function end_session(session)
  session.ending, session.late_then = true, session.late
end

-- A user's session after its runs, and those before it that end here; nil where a run must be split.
local function plan_session(key, at, runs, counted)
  local session, before = stored_session(key, counted), nil
  for _ = 1, runs do
    local first, last, gap, count = users[at], users[at + 1], users[at + 2], users[at + 4]
    local first_mark, last_mark = math.max(stored_mark, users[at + 9]), math.max(stored_mark, users[at + 10])
    if last_mark > newest_mark then newest_mark = last_mark end
    if session and not session.closed and session.closes and session.closes < first_mark then
      session.closed = true
      end_session(session)
    end
    if not session or first > session.last + (session.closed and 0 or gap) then
      if session and not session.closed then end_session(session) end
      if session and session.ending then
        before = before or {}
        before[#before + 1] = session
      end
      session = new_session(ids[users[at + 3]])
      join(session, at)
    elseif session.closed then
      if last > session.last then return nil end
      add_late(session, count)
    elseif first >= session.started - gap then
      join(session, at)
    elseif last < session.started - gap and (count == 1 or not session.closes or session.closes >= last_mark) then
      add_late(session, count)
    else
      return nil
    end
    at = after_run(at)
  end
  return session, before
end

local function write_session(user, key, session)
  local items_key = prefix .. 'user:session_items:' .. encode_id(user)
  if session.first then
    call('UNLINK', key, items_key)
  elseif not session.joined then
    if session.is_late then write('HSET', key, 'late', session.late) end
    return
  end
  local new_items = write('SADD', items_key, unpack(session.new_items))
  local fields = {
    'started_at', session.started, 'last_at', session.last, 'events', session.events,
    'items', session.items + new_items, 'recent_items', session.recent_items,
    'recent_categories', session.recent_categories, 'dwell_ms', session.dwell, 'device', session.device,
    'scenario', session.scenario, 'late', session.late, 'closes_at', session.closes,
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
    local life = math.floor(session.gap / 1000) + settings.open_s
    call('EXPIRE', key, life)
    call('EXPIRE', items_key, life)
  end
end

-- The users whose sessions joined something, for the index of the open ones.
local opened = {}
local function write_sessions(user, key, session, before)
  for _, ended in ipairs(before or {}) do
    write_session(user, key, ended)
    summarise(user, key, ended.late_then)
  end
  write_session(user, key, session)
  if session.ending then
    close_session(user, key, session.late_then)
  elseif session.joined then
    opened[#opened + 1], opened[#opened + 2] = session.closes, user
  end
end

-- Whether there is work for close.lua.
local function write_open()
  if #opened > 0 then
    write('ZADD', open_key, unpack(opened))
    call('EXPIRE', open_key, settings.open_s)
  end
  move_mark(newest_mark)
  local behind = read('ZCOUNT', open_key, '-inf', format('(%.0f', newest_mark)) or 0
  return (summaries > 0 or behind > 0) and 1 or 0
end
