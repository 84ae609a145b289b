-- What apply and close begin with. KEYS[1] is the fence; ARGV: 1 prefix, 2 tenant, 3 partition, 4 epoch, 8 settings.

local fence_key, prefix, tenant, partition, epoch = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local call, pcall_redis, find, format, concat = redis.call, redis.pcall, string.find, string.format, table.concat

if call('EXISTS', prefix .. 'features:held') == 1 then return redis.error_reply('BUSY features of the tenant are held') end

local settings = cmsgpack.unpack(ARGV[8])
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

-- The watermark: how far event time has come in the partition.
local marks_key = prefix .. 'watermarks'
local stored_mark = tonumber(read('HGET', marks_key, partition) or nil) or 0
local function move_mark(mark)
  if mark > stored_mark then write('HSET', marks_key, partition, mark) end
end
