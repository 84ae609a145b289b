-- Which features of a shadow have other content than those in use, byte for byte. It writes nothing.
--
-- KEYS[1]  a key of the tenant, by which a cluster finds its node
-- ARGV     1 prefix of the features in use, 2 of the shadow, 3 cmsgpack: names
-- Answers  a letter a name: s the same, d different (or the same in another order), n not in both

local call, live, shadow = redis.call, ARGV[1], ARGV[2]
local letters = {}
for i, name in ipairs(cmsgpack.unpack(ARGV[3])) do
  local one, other = call('DUMP', live .. name), call('DUMP', shadow .. name)
  letters[i] = not (one and other) and 'n' or one == other and 's' or 'd'
end
return table.concat(letters)
