-- Puts features of a shadow in the place of those in use, all or some at a time, while the tenant's features are held.
--
-- KEYS[1]  features:held of the tenant
-- ARGV     1 what must stand there, else nothing is done; 2 what is to stand there then, without an end; "" to release
--          3 prefix of the features in use, 4 of the shadow
--          5 cmsgpack: names to delete; 6 cmsgpack: groups {life in seconds, 0 for none, -1 for that which it has; names}
-- Answers  1, or 0 where something else stood there

local call, live, shadow = redis.call, ARGV[3], ARGV[4]
if call('GET', KEYS[1]) ~= ARGV[1] then return 0 end

for _, name in ipairs(cmsgpack.unpack(ARGV[5])) do call('UNLINK', live .. name) end

for _, group in ipairs(cmsgpack.unpack(ARGV[6])) do
  local life, names = group[1], group[2]
  for _, name in ipairs(names) do
    -- What is of no user may be large, and RENAME would free it here and now.
    if string.sub(name, 1, 5) ~= 'user:' and call('EXISTS', shadow .. name) == 1 then call('UNLINK', live .. name) end
    local moved = redis.pcall('RENAME', shadow .. name, live .. name)
    if moved.ok then -- else the shadow's own life had ended, or it was moved before
      if life > 0 then
        call('EXPIRE', live .. name, life)
      elseif life == 0 then
        call('PERSIST', live .. name)
      end
    end
  end
end

if ARGV[2] == '' then
  call('UNLINK', KEYS[1])
else
  call('SET', KEYS[1], ARGV[2])
end
return 1
