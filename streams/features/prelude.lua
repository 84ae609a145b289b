-- Applies one blob of deltas.py to one tenant's keys and moves the fence of its partition, or changes nothing. The
-- script is common.lua, ending.lua, prelude.lua, sessions.lua, hot.lua and apply.lua, one after the other.
--
-- KEYS[1]  fence hash of the consumer; all other keys are made from the prefix, which on a cluster holds the braces
-- ARGV     1 prefix, 2 tenant, 3 partition, 4 epoch, 5 offset the fence must stand at ("" none yet), 6 offset to move
--          it to, 7 blob ("" no events), 8 cmsgpack: the settings by name, see sink.py,
--          9 prefix of the catalogue, which a shadow has not
-- Answers  {'applied', events of which a user's cap left something out, events left out of a list that had no place,
--           events too late for their user's session, 1 where there is work for close.lua,
--           keys that had to be deleted, as they were of a wrong type}
--          {'fence', the value found, or ''}                          another offset, or a later epoch
--          {'again', places of events seen before, places of users to split}
--          the error BUSY while streams/replay/swap.lua puts other features in their place
--
-- It reads and decides everything first. Redis refuses a script's writes as a whole (read-only replica, memory, disk)
-- at the first of them, which is the fence; after it only a key of a wrong type can make a write fail. Such a key is
-- no work of the platform: it is deleted and written anew.

local expected, offset = ARGV[5], ARGV[6]

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
  return {'applied', 0, 0, 0, 0}
end

local ids, items, tokens, actions, category_tokens, users, lists, heat, links = unpack(cmsgpack.unpack(ARGV[7]))
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
    category = pcall_redis('HGET', ARGV[9] .. 'item:' .. encode_id(items[item]), 'category')
    if type(category) ~= 'string' or category == '' then category = false end
    catalogue[item] = category
  end
  return category
end
