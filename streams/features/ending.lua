-- Sessions that have ended, and the two keys of a partition that hold them in between.
--
-- sessions:open:{partition}    zset: user -> when the session can be closed, of users whose last event that joined
--                              came by this partition. A session that two partitions feed stands in both.
-- sessions:outbox:{partition}  stream: summaries that are not yet in Kafka, each a cmsgpack array of the user, a field
--                              of the hash, its value, ... A stream's ids only rise, even where Redis lost its last ones.

local open_key, outbox_key = prefix .. 'sessions:open:' .. partition, prefix .. 'sessions:outbox:' .. partition
local not_summarised = {recent_items = true, recent_categories = true, closed = true}
local summaries = 0

-- `late`: what the session's count was when it ended.
local function summarise(user, key, late)
  if not settings.summaries then return end
  local held, fields = call('HGETALL', key), {user}
  for i = 1, #held, 2 do
    local name, value = held[i], held[i + 1]
    if name == 'late' then value = format('%.0f', late) end
    if not not_summarised[name] then
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
  write('XADD', outbox_key, '*', 'session', cmsgpack.pack(fields))
  summaries = summaries + 1
end

-- The hash stays to be read for a while.
local function close_session(user, key, late)
  summarise(user, key, late)
  call('HSET', key, 'closed', 1)
  call('EXPIRE', key, settings.session_s)
  call('EXPIRE', prefix .. 'user:session_items:' .. encode_id(user), settings.session_s)
end
