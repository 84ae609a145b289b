-- Hot lists, and the cap on what one user adds to them (hot_deltas.py has the blob's part, decay.py the formula).
--
-- A list of the batch: name, half_life, first and latest arrival, stored {landmark, half_life, latest} or nil,
-- landmark, factor (what it holds is multiplied by), scores {item place -> what is added}; refused where the tenant
-- has no place for it. Windows, one after the other: key, names and sums of the items whose sum has changed, whether
-- the key is new.

local landmarks_key = prefix .. 'hot:landmarks'
local at_place, in_order, by_name, dead, windows = {}, {}, {}, {}, {}
local capped, left_out = 0, 0

local function stored_list(name)
  local record = read('HGET', landmarks_key, name)
  local landmark, half_life, latest = string.match(record or '', '^(%d+):(%d+):(%d+)$')
  if not landmark or tonumber(half_life) == 0 then return nil end
  return {landmark = tonumber(landmark), half_life = tonumber(half_life), latest = tonumber(latest)}
end

local function gather_lists()
  for at = 1, #lists, 4 do
    local name, latest = lists[at], lists[at + 3]
    if type(name) == 'number' then
      local category = category_of(-name)
      name = category and 'hot:category:' .. encode_id(category)
    end
    local list = name and by_name[name]
    if not list and name then
      list = {name = name, half_life = lists[at + 1], first = lists[at + 2], latest = latest, scores = {}}
      list.stored = stored_list(name)
      by_name[name] = list
      in_order[#in_order + 1] = list
    elseif list and latest > list.latest then
      list.latest = latest
    end
    at_place[#at_place + 1] = list or false
  end
end

-- How many lists of a kind the tenant has. Those that have outlived their life make room, and are deleted.
local function count_lists(kind, now)
  local count, start, records = 0, 'hot:' .. kind .. ':', read('HGETALL', landmarks_key) or {}
  for i = 1, #records, 2 do
    local name = records[i]
    if find(name, start, 1, true) == 1 then
      local latest = tonumber(string.match(records[i + 1], '%d+$')) or 0
      if latest < now - settings.hot_s * 1000 and not by_name[name] then
        dead[#dead + 1] = name
      else
        count = count + 1
      end
    end
  end
  return count
end

-- Whether there is a place for a list that the tenant does not have.
local most = {
  category = settings.hot_categories, scenario = settings.hot_scenarios, scenario_short = settings.hot_scenarios,
}
local taken = {}
local function admit(list)
  local kind = string.match(list.name, '^hot:([%a_]+):')
  if not kind then return true end
  taken[kind] = taken[kind] or count_lists(kind, list.latest)
  if taken[kind] >= most[kind] then return false end
  taken[kind] = taken[kind] + 1
  return true
end

-- As decay.landmark_of.
local function landmark_of(list)
  local span = settings.span * list.half_life
  local shift = tonumber(string.sub(redis.sha1hex(list.name), 1, 8), 16) * 1000 % span
  return math.max(0, list.latest - (list.latest + shift) % span)
end

-- Moves a list to the landmark of its latest arrival. Under another half-life it goes on with the heat that each item
-- has as the first event arrives that brings it.
local function move(list)
  local old = list.stored
  if old and old.latest > list.latest then list.latest = old.latest end
  if old and old.half_life == list.half_life and list.latest - old.landmark < settings.span * old.half_life then
    list.landmark, list.factor = old.landmark, 1
    return
  end
  list.landmark = landmark_of(list)
  if old and old.half_life == list.half_life then
    list.factor = 2 ^ ((old.landmark - list.landmark) / list.half_life)
  elseif old then
    local now = math.max(list.first, old.latest)
    list.factor = 2 ^ ((now - list.landmark) / list.half_life - (now - old.landmark) / old.half_life)
  end
end

local function open_lists()
  gather_lists()
  for _, list in ipairs(in_order) do
    list.refused = not list.stored and not admit(list)
    move(list)
  end
end

local coldest = settings.coldest
local function add(list, item, weight, moment)
  local exponent = (moment - list.landmark) / list.half_life
  if exponent > coldest then
    local scores = list.scores
    scores[item] = (scores[item] or 0) + weight * 2 ^ exponent
  end
end

-- Adds an event to the lists it belongs to.
local function add_to_all(item, weight, moment, scenario, category)
  add(at_place[1], item, weight, moment)
  add(at_place[2], item, weight, moment)
  local of_scenario, of_category = at_place[scenario], at_place[category]
  if of_scenario.refused then
    left_out = left_out + 1
  else
    add(of_scenario, item, weight, moment)
    add(at_place[scenario + 1], item, weight, moment)
  end
  if of_category and of_category.refused then
    left_out = left_out + 1
  elseif of_category then
    add(of_category, item, weight, moment)
  end
end

-- What the user has given each of the items named in the window, nil for one not counted yet; and how many are counted.
local function given_before(key, names)
  local given, held = {}, read('HLEN', key) or 0
  if held > 0 then
    local stored = read('HMGET', key, unpack(names)) or {}
    for i = 1, #names do given[i] = tonumber(stored[i]) end
  end
  return given, held
end

-- Of one user's events in one window of event time, one after the other, what still counts.
local user_weight, user_items = settings.user_weight, settings.user_items
local function count_window(key, item_places, names, from, to)
  local given, held = given_before(key, names)
  local counted_items, changed, any = held, {}, false
  for i = from, to, 5 do
    local place, weight = heat[i], heat[i + 1]
    local before = given[place]
    if not before then
      before = counted_items < user_items and 0 or user_weight
      counted_items = counted_items + 1
    end
    local counted, after = weight, before + weight
    if after > user_weight then
      counted, after = user_weight - before, user_weight
      capped = capped + 1
    end
    if counted > 0 then
      given[place], changed[place], any = after, true, true
      add_to_all(item_places[place], counted, heat[i + 2], heat[i + 3], heat[i + 4])
    end
  end
  if not any then return end
  local fields = {}
  for place in pairs(changed) do
    fields[#fields + 1] = names[place]
    fields[#fields + 1] = given[place]
  end
  local last = #windows
  windows[last + 1], windows[last + 2], windows[last + 3] = key, fields, held == 0
end

local function count_heat(user_at)
  local at = 1
  while at <= #heat do
    local key = prefix .. 'user:heat:' .. encode_id(user_at(heat[at])) .. ':' .. heat[at + 1]
    local item_places, names = {}, {}
    for i = 1, heat[at + 2] do
      local item = heat[at + 2 + i]
      item_places[i], names[i] = item, items[item]
    end
    at = at + 3 + #names
    local behind = at + 1 + 5 * heat[at]
    count_window(key, item_places, names, at + 1, behind - 1)
    at = behind
  end
end

local function write_list(list)
  local key = prefix .. list.name
  if not list.stored then
    call('UNLINK', key) -- without a record nobody knows what its scores mean
  elseif list.factor ~= 1 then
    write('ZUNIONSTORE', key, 1, key, 'WEIGHTS', list.factor)
    call('ZREMRANGEBYSCORE', key, '-inf', 2 ^ settings.coldest)
  else
    write('ZCARD', key) -- a key of a wrong type goes here, so that below a plain call will do
  end
  for item, score in pairs(list.scores) do call('ZINCRBY', key, score, items[item]) end
  -- A fifth more than the size may gather, so that the trimming is rare.
  if call('ZCARD', key) > settings.hot * 1.2 then call('ZREMRANGEBYRANK', key, 0, -settings.hot - 1) end
  call('EXPIRE', key, settings.hot_s)
  local record = format('%.0f:%.0f:%.0f', list.landmark, list.half_life, list.latest)
  call('HSET', landmarks_key, list.name, record)
end

local function write_lists()
  for _, name in ipairs(dead) do
    call('UNLINK', prefix .. name)
    call('HDEL', landmarks_key, name)
  end
  for _, list in ipairs(in_order) do
    if not list.refused then write_list(list) end
  end
  if #in_order > 0 then call('EXPIRE', landmarks_key, settings.hot_s) end
end

local function write_windows()
  for i = 1, #windows, 3 do
    local key = windows[i]
    write('HSET', key, unpack(windows[i + 1]))
    if windows[i + 2] then call('EXPIRE', key, settings.window_s) end
  end
end
