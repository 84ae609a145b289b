-- Closes sessions of one partition that the watermark has passed, and hands out its outbox; changes no fence but its
-- epoch, from which on an earlier owner is refused. The script is common.lua, ending.lua and close.lua.
--
-- KEYS[1]  fence hash of the consumer
-- ARGV     1 prefix, 2 tenant, 3 partition, 4 epoch, 5 where the watermark is to stand at least,
--          6 id below which summaries are in Kafka ("" not known), 7 sessions to close and summaries to hand out at most,
--          8 cmsgpack: the settings by name
-- Answers  {'closed', sessions closed, 1 where there are more, when the next can be closed ('' never),
--           summaries as XRANGE has them}
--          {'fence', the value found, or ''}                          nothing was applied yet, or a later epoch

local fence = call('HGET', fence_key, partition)
local found_epoch, found_offset = string.match(fence or '', '^(%d+):(%d+)$')
if not found_epoch or tonumber(found_epoch) > tonumber(epoch) then return {'fence', fence or ''} end

if tonumber(epoch) > tonumber(found_epoch) then call('HSET', fence_key, partition, epoch .. ':' .. found_offset) end
local mark = math.max(stored_mark, tonumber(ARGV[5]))
move_mark(mark)
if ARGV[6] ~= '' then write('XTRIM', outbox_key, 'MINID', ARGV[6]) end

-- While Kafka takes no summaries sessions stay open; they are behind the watermark all the same.
local most = tonumber(ARGV[7])
local room = math.min(most, settings.outbox - (read('XLEN', outbox_key) or 0))
local ready = room > 0
  and read('ZRANGEBYSCORE', open_key, '-inf', format('(%.0f', mark), 'WITHSCORES', 'LIMIT', 0, room) or {}
local closed, users = 0, {}
for i = 1, #ready, 2 do
  local user = ready[i]
  users[#users + 1] = user
  local key = prefix .. 'user:session:' .. encode_id(user)
  local found = read('HMGET', key, 'closes_at', 'closed', 'late') or {}
  local closes_at = tonumber(found[1] or nil)
  -- Otherwise it is gone, or closed, or is another partition's to close, in whose index it stands with its time.
  if closes_at == tonumber(ready[i + 1]) and not found[2] then
    close_session(user, key, tonumber(found[3] or nil) or 0)
    closed = closed + 1
  end
end
if #users > 0 then call('ZREM', open_key, unpack(users)) end

local next_one = read('ZRANGE', open_key, 0, 0, 'WITHSCORES') or {}
local more = #users == room and room > 0 and 1 or 0
return {'closed', closed, more, next_one[2] or '', read('XRANGE', outbox_key, '-', '+', 'COUNT', most) or {}}
